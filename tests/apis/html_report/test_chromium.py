"""The page in a real browser; skipped where there is none."""

import base64
import json

import numpy as np
import pytest
from PIL import Image

from mmseg_ddu.models.map_names import MAPS
from mmseg_ddu.visualization.heatmap import colorize
from mmseg_ddu.visualization.prediction import surprise

from .browser_page import Page

LAYERS = ('image', 'truth', 'prediction', 'error', *MAPS)


@pytest.fixture
def view(chromium, page):
    return Page(chromium, page)


def test_layers_switch_by_click_and_by_key(view):
    by_key = {}
    for number, layer in enumerate(LAYERS, 1):
        view.press(str(number))
        assert view.run('return state.layer') == layer
        by_key[layer] = view.pixels()
    for layer in LAYERS:
        for other in LAYERS:
            same = np.array_equal(by_key[layer], by_key[other])
            assert same == (layer == other), (layer, other)
        view.run(f'document.querySelector("[value={layer}]").click()')
        view.settle()
        assert np.array_equal(view.pixels(), by_key[layer])
        assert view.run('return canvas.ariaLabel').startswith(layer)


def test_full_opacity_shows_the_prediction_itself(view, exports):
    view.press('3')
    view.set('opacity', 100)
    path = exports['red'] / 'class' / f'{view.name()}.png'
    expected = np.asarray(Image.open(path).convert('RGB'))
    assert np.array_equal(view.pixels(), expected)


@pytest.mark.parametrize('layer', MAPS)
@pytest.mark.parametrize('tens', [0.4, 1])
def test_the_threshold_is_a_percentile(view, exports, layer, tens):
    view.run(f'document.querySelector("[value={layer}]").click()')
    view.set('opacity', 100)
    folder = exports['red'] / layer
    mine = np.load(folder / f'{view.name()}.npy')
    files = folder.glob('*.npy')
    everyone = np.concatenate([np.load(file).ravel() for file in files])
    before = view.pixels()
    for reference, values in (('image', mine), ('all', everyone)):
        view.set('reference', reference)
        view.set('threshold', tens)
        above = mine > np.quantile(values, 1 - 10**-tens)
        assert (view.shown() != above).mean() <= 0.02
        assert not np.array_equal(view.pixels(), before)
    assert view.text('threshold-text') == (
        '60.2 % (1 in 3)' if tens < 1 else '90.0 % (1 in 10)'
    )


@pytest.mark.parametrize('layer', MAPS)
def test_threshold_among_training_pixels(view, exports, layer):
    assert view.run('return $("reference").value') == 'training'
    view.run(f'document.querySelector("[value={layer}]").click()')
    view.set('threshold', 1)
    path = exports['red'] / f'{layer}_percentile' / f'{view.name()}.npy'
    above = np.load(path) > 0.9
    assert (view.shown() != above).mean() <= 0.02
    assert 0 < above.mean() < 1


def test_colours_are_those_of_rarity(view, exports):
    """And a pixel without a score is cyan."""
    view.set('opacity', 100)
    path = exports['red'] / 'total_percentile' / f'{view.name()}.npy'
    place = surprise(np.load(path)) / 4
    expected = colorize(place, 0, 1, 'inferno').astype(int)
    assert np.median(np.abs(view.pixels() - expected).max(-1)) <= 3
    colors = view.run(
        'const score = method().scores.total;'
        'return levelColors(score, luts.total, 4, data.lost_color)'
    )
    assert colors[255] == [0, 255, 255] and len(colors) == 256


def test_most_unusual_first_and_every_order(view, exports):
    manifest = json.loads((exports['red'] / 'manifest.json').read_text())
    rows = manifest['images']
    for order in ('unusual_share', 'image_novelty', 'aleatoric_mean'):
        view.set('order', order)
        found = view.run(
            'return [...document.querySelectorAll("#thumbnails button")]'
            '.map((button) => data.images[button.dataset.index].name)'
        )
        scores = {r['files']['class'][6:-4]: r[order] for r in rows}
        ordered = [scores[name] for name in found]
        assert ordered == sorted(ordered, reverse=True)
        assert view.name() == found[0] and len(found) == len(rows)
    first = view.name()
    view.press('n')
    assert view.name() != first and view.text('position').startswith('2 of')
    view.press('p')
    assert view.name() == first


def test_methods_differ_and_keys_work(view):
    before = view.pixels()
    view.press('m')
    assert 'blue' in view.text('caption')
    assert not np.array_equal(view.pixels(), before)
    view.press(']]')
    assert view.run('return $("threshold").value') == '0.4'
    view.press('[')
    assert view.run('return $("threshold").value') == '0.2'


def test_everything_is_reached_with_tab(view):
    from selenium.webdriver.common.keys import Keys

    seen = set()
    for _ in range(24):
        view.browser.switch_to.active_element.send_keys(Keys.TAB)
        seen.add(view.run('return document.activeElement.id'))
        seen.add(view.run('return document.activeElement.name'))
    wanted = 'previous next layer method opacity threshold reference order'
    assert set(wanted.split()) <= seen


def test_pointing_reads_the_scores(view):
    view.run(
        'const box = canvas.getBoundingClientRect();'
        'canvas.dispatchEvent(new PointerEvent("pointerdown", {'
        'clientX: box.left + box.width / 2,'
        'clientY: box.top + box.height / 2}));'
    )
    text = view.text('readout')
    assert (
        all(name in text for name in MAPS)
        and 'nats' in text
        and 'of training' in text
    )


def test_the_table_sorts(view):
    view.run('document.querySelector("#table thead button").click()')
    script = (
        'return [...document.querySelectorAll("#table tbody td:nth-child(2)'
        '")].map((cell) => cell.dataset.value)'
    )
    values = view.run(script)
    numbers = [float(value) for value in values if value]
    assert numbers == sorted(numbers, reverse=True) and values[-1] == ''


@pytest.mark.parametrize('width', [320, 375, 1280])
def test_no_sideways_scrolling(view, width):
    command = 'Emulation.setDeviceMetricsOverride'
    metrics = dict(height=800, deviceScaleFactor=1, mobile=width < 700)
    view.browser.execute_cdp_cmd(command, dict(width=width, **metrics))
    try:
        wide = view.run('return document.documentElement.scrollWidth')
        canvas = view.run('return canvas.getBoundingClientRect().width')
        rows = view.run(
            'return [...document.querySelectorAll("tbody tr")]'
            '.map((row) => row.getBoundingClientRect().height)'
        )
        curves = view.run(
            'return [...document.querySelectorAll("#curves img")].map((img) =>'
            ' [img.naturalWidth > 2 * img.naturalHeight,'
            ' img.getBoundingClientRect().width])'
        )
    finally:
        view.browser.execute_cdp_cmd(
            'Emulation.clearDeviceMetricsOverride', {}
        )
    assert wide <= width and canvas > 0.5 * min(width, 600)
    assert max(rows) < 60  # no column is squeezed
    assert {several for several, _ in curves} == {True, False}
    for several, size in curves:  # those with several panels scroll alone
        assert size >= 700 if several and width < 700 else size <= width


def test_it_prints(view):
    content = base64.b64decode(view.browser.print_page())
    assert content.startswith(b'%PDF') and len(content) > 20_000


def test_no_console_errors_and_no_network(chromium, page):
    for log in ('browser', 'performance'):
        chromium.get_log(log)  # empties it
    view = Page(chromium, page)
    view.press('1234567nm]')
    assert chromium.get_log('browser') == []
    events = [
        json.loads(entry['message'])['message']
        for entry in chromium.get_log('performance')
    ]
    urls = [
        event['params']['request']['url']
        for event in events
        if event['method'] == 'Network.requestWillBeSent'
    ]
    assert urls and all(u.startswith(('file:', 'data:')) for u in urls)
