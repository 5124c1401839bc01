"""The page as a test sees it in a real browser."""

import base64
import io

import numpy as np
from PIL import Image


class Page:
    """The page, freshly opened, and what a test does to it."""

    def __init__(self, browser, path):
        self.browser = browser
        browser.get(path.as_uri())
        self.settle()

    def run(self, script, *args):
        return self.browser.execute_script(script, *args)

    def settle(self):
        """Wait until the canvas shows the present state."""
        done = self.browser.execute_async_script(
            'const done = arguments[0], end = Date.now() + 15000;'
            'const look = () => typeof drawing !== "undefined"'
            ' && canvas.dataset.drawn === String(drawing)'
            ' ? done(true) : Date.now() > end ? done(false)'
            ' : setTimeout(look, 20); look();'
        )
        assert done, 'the canvas was not drawn'

    def pixels(self):
        uri = self.run('return canvas.toDataURL("image/png")')
        content = base64.b64decode(uri.split(',', 1)[1])
        return np.asarray(Image.open(io.BytesIO(content)).convert('RGB'))

    def press(self, keys):
        for key in keys:
            self.browser.switch_to.active_element.send_keys(key)
            self.settle()

    def set(self, name, value):
        self.run(
            'const field = document.getElementById(arguments[0]);'
            'field.value = arguments[1];'
            'for (const kind of ["input", "change"])'
            ' field.dispatchEvent(new Event(kind, {bubbles: true}));',
            name,
            str(value),
        )
        self.settle()

    def text(self, name):
        script = 'return document.getElementById(arguments[0]).textContent'
        return self.run(script, name)

    def name(self):
        return self.run('return data.images[state.image].name')

    def shown(self):
        """Pixels in colour: what is below the threshold is grey."""
        return np.ptp(self.pixels().astype(int), axis=-1) > 0
