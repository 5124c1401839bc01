"""How fast a report of many images opens and scrolls in Chromium.

The images of an export are repeated by links until there are enough; then the
page is written, opened from disk a few times, scrolled to its end, and gone
through image by image. Prints JSON: MiB and seconds to write; milliseconds
until the first paint, until the first image is drawn and until all is
loaded; and the longest tasks of the page's thread (what a person feels as
stalling from 50 ms on) while it loads, is scrolled, and is gone through:
by the clock, and of processor time, which other programs do not lengthen.

    python -m benchmarks.report_page EXPORTED_MAPS WORK_DIR --images 500

``--also PAGE`` visits another page in turn, such as one of another version.

Needs chromium, chromedriver and selenium.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import time
from collections import Counter
from pathlib import Path

from mmseg_ddu.apis import write_report

TRACED = 'devtools.timeline,toplevel'
BINARIES = ('chromium', 'chromium-browser', 'google-chrome')
OPENED = """
const done = arguments[0];
const ready = () => typeof drawing !== 'undefined' && canvas.dataset.drawn;
const paint = performance.getEntriesByName('first-contentful-paint')[0];
const [page] = performance.getEntriesByType('navigation');
const look = () => (!ready() ? setTimeout(look, 20) : setTimeout(() => done({
  first_paint: paint.startTime,
  first_image: window.firstImage,
  loaded: page.loadEventEnd,
}), 500));
look();
"""
# Notes when the first image is drawn; runs before the page does.
WATCH = """
const look = () => (document.getElementById('canvas')?.dataset.drawn
  ? window.firstImage = performance.now() : setTimeout(look, 5));
look();
"""
SCROLL = """
const done = arguments[0];
const step = () => {
  const before = scrollY;
  scrollBy(0, 100);
  if (scrollY > before) requestAnimationFrame(step);
  else setTimeout(done, 500);
};
step();
"""
NEXT = """
const done = arguments[0];
let left = 20;
const look = () => {
  if (canvas.dataset.drawn !== String(drawing)) return setTimeout(look, 5);
  if (!left) return setTimeout(done, 500);
  left -= 1;
  document.getElementById('next').click();
  return setTimeout(look, 5);
};
look();
"""


def repeat(source: Path, target: Path, count: int) -> None:
    """An export of ``count`` images: links to those of another one."""
    manifest = json.loads((source / 'manifest.json').read_text())
    rows = [row for row in manifest['images'] if 'files' in row]
    images = []
    for number in range(count):
        row = rows[number % len(rows)]
        name = f'{number:05}_{row["name"]}'
        files = {}
        for key, file in row['files'].items():
            path = Path(file)
            files[key] = str(Path(path.parts[0], f'{number:05}_{path.name}'))
            (target / path.parts[0]).mkdir(parents=True, exist_ok=True)
            (target / files[key]).hardlink_to(source / file)
        images.append(dict(row, name=name, files=files))
    manifest['images'] = images
    (target / 'manifest.json').write_text(json.dumps(manifest))


def open_browser():
    """Chromium without a window."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = next(filter(None, map(shutil.which, BINARIES)))
    for flag in ('--headless=new', '--no-sandbox', '--disable-gpu'):
        options.add_argument(flag)
    options.set_capability('goog:loggingPrefs', dict(performance='ALL'))
    options.add_experimental_option(
        'perfLoggingPrefs',
        dict(traceCategories=TRACED, enableNetwork=False, enablePage=False),
    )
    service = Service(shutil.which('chromedriver'))
    browser = webdriver.Chrome(options=options, service=service)
    browser.set_script_timeout(300)
    browser.execute_cdp_cmd(
        'Page.addScriptToEvaluateOnNewDocument', dict(source=WATCH)
    )
    return browser


def events(browser) -> list[dict]:
    """What was traced since the last call."""
    # Every second log is empty, and begins the trace again.
    logs = [browser.get_log('performance') for _ in range(2)]
    messages = [
        json.loads(entry['message'])['message']
        for log in logs
        for entry in log
    ]
    return [
        message['params']
        for message in messages
        if message['method'] == 'Tracing.dataCollected'
    ]


def thread(event: dict) -> tuple[int, int]:
    """Process and thread."""
    return event['pid'], event['tid']


def page_thread(traced: list[dict]) -> tuple[int, int]:
    """The one that parsed most."""
    times: Counter = Counter()
    for event in traced:
        if event['name'] == 'ParseHTML':
            times[thread(event)] += event.get('dur', 0)
    return times.most_common(1)[0][0]


def longest_task(traced: list[dict], where: tuple[int, int]) -> dict:
    """Milliseconds by the clock, and of processor time."""
    tasks = [
        event
        for event in traced
        if event['name'].endswith('RunTask') and thread(event) == where
    ]
    return {
        name: max(event.get(key, 0) for event in tasks) / 1000
        for name, key in (('', 'dur'), ('_processor', 'tdur'))
    }


def measure(page: Path) -> dict[str, float]:
    """Milliseconds of one visit, in a browser of its own."""
    browser = open_browser()
    try:
        browser.get(page.as_uri())
        found = browser.execute_async_script(OPENED)
        traced = events(browser)
        where = page_thread(traced)
        for what, script in (
            ('loading', None),
            ('scrolling', SCROLL),
            ('next_image', NEXT),
        ):
            if script:
                browser.execute_async_script(script)
                traced = events(browser)
            for kind, value in longest_task(traced, where).items():
                found[f'task_{what}{kind}'] = value
    finally:
        browser.quit()
    return found


def summary(page: Path, visits: list[dict[str, float]]) -> dict:
    """Of several visits to a page."""
    return dict(
        mib=round(page.stat().st_size / 2**20, 1),
        **{
            f'{name}_ms': dict(
                median=round(statistics.median(v[name] for v in visits)),
                most=round(max(v[name] for v in visits)),
            )
            for name in visits[0]
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('maps', type=Path, help='an export with npy')
    parser.add_argument('work_dir', type=Path, help='new, same disk')
    parser.add_argument('--images', type=int, default=500)
    parser.add_argument('--visits', type=int, default=5)
    parser.add_argument('--also', type=Path, nargs='*', default=[])
    args = parser.parse_args()
    repeat(args.maps, args.work_dir, args.images)
    start = time.monotonic()
    page = write_report(args.work_dir, max_images=args.images)
    seconds = time.monotonic() - start
    pages = [page, *args.also]
    visits: dict[Path, list] = {each: [] for each in pages}
    for _ in range(args.visits):
        for each in pages:
            visits[each].append(measure(each))
    result = dict(
        images=args.images,
        write_seconds=round(seconds, 1),
        **{each.name: summary(each, visits[each]) for each in pages},
    )
    print(json.dumps(result, indent=1))


if __name__ == '__main__':
    main()
