"""Heat maps beside the prediction, in the backends of a config."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from mmseg_ddu.apis import fit_gda
from mmseg_ddu.apis import test as run_test
from mmseg_ddu.registry import HOOKS
from mmseg_ddu.visualization import DDULocalVisualizer
from mmseg_ddu.visualization.heatmap import colorize
from mmseg_ddu.visualization.prediction import Scale, surprise

from ..apis.test_tools import call

PALETTE = [[0, 0, 0], [250, 0, 0]]
NUMBERS = count()
SCALES = dict(
    epistemic=Scale(-1.0, 1.0, 'nats'), aleatoric=Scale(0.0, 0.7, 'nats')
)


@pytest.fixture
def visualizer():
    made = DDULocalVisualizer()
    made.dataset_meta = dict(classes=('a', 'b'), palette=PALETTE)
    return made


def make_sample(size=(200, 220), **fields):
    sample = SegDataSample()
    generator = torch.Generator().manual_seed(0)
    classes = torch.randint(0, 2, (1, *size), generator=generator)
    values = torch.rand(1, *size, generator=generator)
    maps = dict(
        gt_sem_seg=classes, pred_sem_seg=classes, pred_aleatoric=values
    )
    for name, data in {**maps, **fields}.items():
        sample.set_data({name: PixelData(data=data)})
    return sample


def contains(picture, part):
    """Whether a picture shows another one somewhere."""
    rows, columns = part.shape[:2]
    for y, x in np.argwhere((picture == part[0, 0]).all(-1)):
        window = picture[y : y + rows, x : x + columns]
        if window.shape == part.shape and (window == part).all():
            return True
    return False


def test_the_picture_shows_every_map(visualizer):
    epistemic = torch.linspace(-1, 5, 200 * 220).reshape(1, 200, 220)
    sample = make_sample(pred_epistemic=epistemic)
    image = np.random.default_rng(0).integers(0, 255, (200, 220, 3), np.uint8)
    visualizer.scales = SCALES
    picture = visualizer.draw(image, sample)
    assert contains(picture, image)
    aleatoric = sample.pred_aleatoric.data[0].numpy()
    assert contains(picture, colorize(aleatoric, 0, 0.7, 'viridis'))
    assert contains(picture, colorize(epistemic[0].numpy(), -1, 1, 'magma'))
    red = np.asarray(PALETTE)[sample.pred_sem_seg.data[0]]
    blended = (0.4 * image + 0.6 * red).round()
    mean = blended.reshape(-1, 3).mean(0)
    column = picture[26:226, 2 * 226 : 2 * 226 + 220]  # behind the truth
    np.testing.assert_allclose(column.reshape(-1, 3).mean(0), mean, atol=0.6)


def test_percentiles_colour_by_rarity(visualizer):
    """Ordinary pixels are dark, whatever their scores are."""
    share = torch.linspace(0, 1, 200 * 220).reshape(1, 200, 220)
    maps = dict(pred_total=9 * share, pred_total_percentile=share)
    image = np.zeros((200, 220, 3), np.uint8)
    visualizer.scales = SCALES
    picture = visualizer.draw(image, make_sample(**maps))
    rarity = surprise(share[0].numpy())
    expected = colorize(rarity, 0, 4, 'inferno')
    assert contains(picture, expected)
    assert expected[rarity < 0.3].max() < 50 < expected[rarity > 2].max()


def test_maps_stand_in_their_order(visualizer):
    maps = {
        f'pred_{name}': torch.full((1, 200, 220), 0.5)
        for name in ('total', 'epistemic')
    }
    maps['pred_total'][..., 0] = maps['pred_epistemic'][..., 0] = 0
    image = np.zeros((200, 220, 3), np.uint8)
    picture = visualizer.draw(image, make_sample(**maps))
    middle = picture[120]
    places = [
        np.flatnonzero(
            (middle == colorize(np.ones((1, 1)), 0, 1, c)[0]).all(1)
        )
        for c in ('magma', 'inferno')
    ]
    assert len(places[0]) and places[0].max() < places[1].min()


def test_maps_that_are_not_there_are_left_out(visualizer):
    image = np.zeros((200, 220, 3), np.uint8)
    both = make_sample(pred_epistemic=torch.rand(1, 200, 220))
    widths = [
        visualizer.draw(image, both).shape[1],
        visualizer.draw(image, make_sample()).shape[1],
        visualizer.draw(image, both, draw_gt=False).shape[1],
        visualizer.draw(image, both, draw_pred=False).shape[1],
    ]
    assert widths[0] > widths[1] > widths[3]
    assert widths[0] == widths[2] + 226
    assert widths[3] == 2 * 220 + 6


def test_out_file_and_get_image(visualizer, tmp_path):
    image = np.zeros((180, 190, 3), np.uint8)
    sample = make_sample((180, 190))
    path = tmp_path / 'sub' / 'a.png'
    visualizer.add_datasample('a', image, sample, out_file=str(path))
    saved = np.asarray(Image.open(path))
    assert (saved == visualizer.draw(image, sample)).all()
    assert (saved == visualizer.get_image()).all()


def options(draw=True, interval=2, kind='DDULocalVisualizer', backends=()):
    kinds = ('LocalVisBackend', *backends)
    return {
        # mmengine keeps visualizers by their names for the whole process.
        'visualizer.name': f'visualizer_{next(NUMBERS)}',
        'visualizer.type': f'mmseg_ddu.{kind}' if 'DDU' in kind else kind,
        'visualizer.vis_backends': [dict(type=kind) for kind in kinds],
        'default_hooks.visualization': dict(
            type='mmseg_ddu.DDUVisualizationHook',
            draw=draw,
            interval=interval,
        ),
    }


def pictures(folder):
    return sorted(folder.rglob('vis_image/*.png'))


def test_test_writes_pictures(plain_cfg, checkpoint, tmp_path):
    fitted = fit_gda(plain_cfg, checkpoint)
    config, work = tmp_path / 'config.py', tmp_path / 'pictures'
    plain_cfg.dump(config)
    hook = 'default_hooks.visualization'
    done = call(
        'test.py',
        config,
        fitted,
        '--work-dir',
        work,
        '--cfg-options',
        'visualizer.type=mmseg_ddu.DDULocalVisualizer',
        f'{hook}.type=mmseg_ddu.DDUVisualizationHook',
        f'{hook}.draw=True',
        f'{hook}.interval=2',
    )
    assert done.returncode == 0, done.stderr
    found = pictures(work)
    assert len(found) == 2  # of four images
    for path in found:
        picture = np.asarray(Image.open(path))
        # image, truth, prediction and three maps, each 48 -> 192 pixels
        # wide, the maps with a colour bar
        assert picture.shape[1] > 6 * 192 and picture.shape[0] == 192 + 26
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50


def test_nothing_is_drawn_unless_asked(plain_cfg, checkpoint, tmp_path):
    fitted = fit_gda(plain_cfg, checkpoint)
    work = tmp_path / 'none'
    with pytest.warns(UserWarning, match='draw is False'):
        run_test(plain_cfg, fitted, work_dir=work, cfg_options=options(False))
    assert pictures(work) == []


def test_tensorboard_gets_the_pictures(plain_cfg, checkpoint, tmp_path):
    pytest.importorskip('tensorboard')
    from tensorboard.backend.event_processing.event_accumulator import (
        EventAccumulator,
    )

    fitted = fit_gda(plain_cfg, checkpoint)
    work = tmp_path / 'board'
    chosen = options(interval=1, backends=['TensorboardVisBackend'])
    run_test(plain_cfg, fitted, work_dir=work, cfg_options=chosen)
    (events,) = work.rglob('events.out.tfevents.*')
    board = EventAccumulator(str(events.parent))
    board.Reload()
    tags = board.Tags()['images']
    assert len(tags) == len(pictures(work)) == 4
    (first,) = board.Images(sorted(tags)[0])
    assert (first.width, first.height) == Image.open(pictures(work)[0]).size


def test_wandb_gets_the_pictures(plain_cfg, checkpoint, tmp_path, monkeypatch):
    pytest.importorskip('wandb')
    monkeypatch.setenv('WANDB_MODE', 'offline')
    monkeypatch.setenv('WANDB_SILENT', 'true')
    fitted = fit_gda(plain_cfg, checkpoint)
    work = tmp_path / 'wandb'
    chosen = options(interval=1, backends=['WandbVisBackend'])
    run_test(plain_cfg, fitted, work_dir=work, cfg_options=chosen)
    mine = pictures(work)
    sent = sorted(work.rglob('media/images/*.png'))
    assert len(sent) == len(mine) == 4
    found, expected = (
        sorted(np.asarray(Image.open(path)).tobytes() for path in paths)
        for paths in (sent, mine)
    )
    assert found == expected


def test_mlflow_gets_the_pictures(plain_cfg, checkpoint, tmp_path):
    pytest.importorskip('mlflow')
    fitted = fit_gda(plain_cfg, checkpoint)
    work = tmp_path / 'mlflow'
    chosen = options(interval=1, backends=['MLflowVisBackend'])
    chosen['visualizer.vis_backends'][1].update(
        exp_name='ddu',
        tracking_uri=f'sqlite:///{tmp_path}/mlflow.db',
        artifact_location=(tmp_path / 'sent').as_uri(),
    )
    run_test(plain_cfg, fitted, work_dir=work, cfg_options=chosen)
    sent = sorted((tmp_path / 'sent').rglob('*.jpg'))
    assert len(sent) == len(pictures(work)) == 4
    for mine, path in zip(pictures(work), sent):
        assert path.name in mine.name
        difference = np.array(Image.open(mine), float) - Image.open(path)
        assert np.abs(difference).mean() < 3  # as JPEG


def test_validation_while_nothing_is_fitted(demo_cfg, tmp_path):
    from mmseg_ddu.apis.runner import build_runner

    demo_cfg.merge_from_dict(options(interval=1))
    demo_cfg.work_dir = str(tmp_path / 'val')
    demo_cfg.default_hooks.checkpoint = dict(type='CheckpointHook')
    runner = build_runner(demo_cfg)
    runner.val()
    found = pictures(tmp_path / 'val')
    assert found
    width = Image.open(found[0]).width
    assert 4 * 192 < width < 5 * 192  # without the epistemic map
    assert set(runner.visualizer.scales) == {'aleatoric'}


def test_another_visualizer_is_refused(plain_cfg, checkpoint, tmp_path):
    fitted = fit_gda(plain_cfg, checkpoint)
    with pytest.raises(TypeError, match='DDULocalVisualizer'):
        run_test(
            plain_cfg,
            fitted,
            work_dir=tmp_path / 'other',
            cfg_options=options(kind='SegLocalVisualizer'),
        )


def test_hook_is_found_by_its_scope():
    assert HOOKS.get('mmseg_ddu.DDUVisualizationHook') is not None
