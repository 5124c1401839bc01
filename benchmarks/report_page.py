"""How fast a report of many images opens and scrolls in Chromium.

The images of an export are repeated by links until there are enough; then the
page is written, opened from disk a few times, scrolled to its end, and gone
through image by image. Prints JSON: MiB and seconds to write; milliseconds
until the first paint, until the first image is drawn and until all is
loaded; and the longest tasks (what a person feels as stalling from 50 ms on;
0 if all were shorter) while it loads, is scrolled, and is gone through.

    python -m benchmarks.report_page EXPORTED_MAPS WORK_DIR --images 500

Needs chromium, chromedriver and selenium.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import time
from pathlib import Path

from mmseg_ddu.apis import write_report

BINARIES = ('chromium', 'chromium-browser', 'google-chrome')
OPENED = """
const done = arguments[0];
const ready = () => typeof drawing !== 'undefined' && canvas.dataset.drawn;
window.tasks = [];
new PerformanceObserver((list) => tasks.push(...list.getEntries()))
  .observe({type: 'longtask', buffered: true});
const paint = performance.getEntriesByName('first-contentful-paint')[0];
const [page] = performance.getEntriesByType('navigation');
const look = () => (!ready() ? setTimeout(look, 20) : setTimeout(() => done({
  first_paint: paint.startTime,
  first_image: window.firstImage,
  loaded: page.loadEventEnd,
  task_loading: longest(),
}), 500));
window.longest = () => Math.max(0, ...tasks.splice(0).map((t) => t.duration));
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
  else setTimeout(() => done(longest()), 500);
};
step();
"""
NEXT = """
const done = arguments[0];
let left = 20;
const look = () => {
  if (canvas.dataset.drawn !== String(drawing)) return setTimeout(look, 5);
  if (!left) return setTimeout(() => done(longest()), 500);
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
            files[key] = str(Path(path.parts[0], f'{name}{path.suffix}'))
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
    service = Service(shutil.which('chromedriver'))
    browser = webdriver.Chrome(options=options, service=service)
    browser.set_script_timeout(300)
    browser.execute_cdp_cmd(
        'Page.addScriptToEvaluateOnNewDocument', dict(source=WATCH)
    )
    return browser


def measure(page: Path) -> dict[str, float]:
    """Milliseconds of one visit, in a browser of its own."""
    browser = open_browser()
    try:
        browser.get(page.as_uri())
        found = browser.execute_async_script(OPENED)
        found['task_scrolling'] = browser.execute_async_script(SCROLL)
        found['task_next_image'] = browser.execute_async_script(NEXT)
    finally:
        browser.quit()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('maps', type=Path, help='an export with npy')
    parser.add_argument('work_dir', type=Path, help='new, same disk')
    parser.add_argument('--images', type=int, default=500)
    parser.add_argument('--visits', type=int, default=5)
    args = parser.parse_args()
    repeat(args.maps, args.work_dir, args.images)
    start = time.monotonic()
    page = write_report(args.work_dir, max_images=args.images)
    seconds = time.monotonic() - start
    visits = [measure(page) for _ in range(args.visits)]
    result = dict(
        images=args.images,
        mib=round(page.stat().st_size / 2**20, 1),
        write_seconds=round(seconds, 1),
        **{
            f'{name}_ms': dict(
                median=round(statistics.median(v[name] for v in visits)),
                most=round(max(v[name] for v in visits)),
            )
            for name in visits[0]
        },
    )
    print(json.dumps(result, indent=1))


if __name__ == '__main__':
    main()
