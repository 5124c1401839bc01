"""Refused pixels, a ranking and alarms in the page, in a real browser."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from mmseg_ddu.apis import DriftMonitor, write_report

from .browser_page import Page


@pytest.fixture(scope='module')
def watched(exports, tmp_path_factory):
    """An export with refused pixels, a ranking, and a monitor's alarm."""
    folder = tmp_path_factory.mktemp('watched')
    shutil.copytree(exports['red'], folder / 'maps')
    path = folder / 'maps' / 'manifest.json'
    manifest = json.loads(path.read_text())
    for number, row in enumerate(manifest['images']):
        file = folder / 'maps' / row['files']['class']
        classes = np.array(Image.open(file))
        classes[:, : 8 * number] = 255
        Image.fromarray(classes).save(file)
        row['refused_share'] = float((classes == 255).mean())
    path.write_text(json.dumps(manifest))
    DriftMonitor(folder / 'drift.json').watch(folder / 'maps')
    log = folder / 'drift.jsonl'
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    first, last = lines[0]['name'], lines[-1]['name']
    alarm = dict(statistic='image_novelty', since=first, images=[first])
    lines[-1]['alarms'] = [dict(alarm, words='More of it')]
    text = ''.join(json.dumps(line) + '\n' for line in lines)
    log.write_text(text)
    state = json.loads((folder / 'drift.json').read_text())
    state['log_bytes'] = len(text)
    (folder / 'drift.json').write_text(json.dumps(state))
    ranking = folder / 'ranking.csv'
    ranking.write_text(
        'rank,image,score,left,top,width,height,label,predicted,kind\n'
        f'1,elsewhere/{last}.jpg,7.5,12,6,24,30,sky,tree,missing object\n'
        f'2,elsewhere/{first}.jpg,2,,,,,,,\n'
    )
    out = folder / 'report.html'
    write_report(
        folder / 'maps', ranking=ranking, monitor=log, out=out, max_images=4
    )
    return out, manifest, first, last


def test_refused_pixels_are_striped(chromium, watched):
    out, manifest, *_ = watched
    view = Page(chromium, out)
    shares = [row['refused_share'] for row in manifest['images']]
    assert len({row['height'] for row in manifest['images']}) == 1
    assert f'{100 * np.mean(shares):.1f} %' == view.text('refused')
    view.set('order', 'refused_share')
    row = max(manifest['images'], key=lambda row: row['refused_share'])
    assert view.name() == row['name']
    assert f'refused pixels {100 * max(shares):.1f} %' in view.text('caption')
    view.press('3')
    assert 'refused' in view.text('legend')
    view.press('7')
    striped = view.pixels().astype(int)
    view.press('h')
    changed = (striped != view.pixels()).any(-1)
    refused = np.array(Image.open(out.parent / 'maps' / row['files']['class']))
    refused = refused == 255
    assert not changed[~refused].any() and 0.2 < changed[refused].mean() < 0.3
    view.set('least', 100 * np.median(shares))
    found = view.run('return ranking.map((i) => data.images[i].name)')
    kept = [
        r['name']
        for r in manifest['images']
        if r['refused_share'] >= np.median(shares)
    ]
    assert set(found) <= set(kept) and len(found) > 1
    view.set('filter', 'NOT THERE')
    assert view.text('position') == '0 of 0'
    view.press('n')


def test_a_ranking_orders_and_draws_its_box(chromium, watched):
    out, _, first, last = watched
    view = Page(chromium, out)
    assert view.run('return state.order') == 'listed'
    names = view.run('return ranking.map((i) => data.images[i].name)')
    assert names[:2] == [last, first] and len(names) == 4
    told = 'Rank 1, score 7.5, labelled sky, predicted tree, '
    assert f'{told}kind missing object.' in view.text('caption')
    with_box = view.pixels()
    view.run('data.images[state.image].listed.box = null; update()')
    view.settle()
    rows, columns = np.nonzero((with_box != view.pixels()).any(-1))
    found = columns.min(), columns.max(), rows.min(), rows.max()
    assert np.abs(np.array(found) - (12, 36, 6, 36)).max() <= 2


def test_alarms_lead_to_their_images(chromium, watched):
    out, _, first, last = watched
    view = Page(chromium, out)
    links = view.run(
        'return [...document.querySelectorAll("#drift a")]'
        '.map((link) => [link.textContent, link.dataset.image])'
    )
    assert [name for name, _ in links] == [last, first]
    assert 'Alarm: More of it' in view.text('caption')
    view.run('document.querySelectorAll("#drift a")[1].click()')
    view.settle()
    assert view.name() == first
    assert len(view.run('return document.querySelectorAll(".alarmed")')) == 1
    assert len(view.run('return document.querySelectorAll(".chart")')) == 5
