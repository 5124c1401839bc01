"""Distances of a tiny network, as the tool measures them."""

import copy
import json

import cv2
import pytest
import torch

from mmseg_ddu.apis import fit_gda, init_ddu, predict
from mmseg_ddu.apis.distance_check import check_distances, sentences
from mmseg_ddu.core.distances import distance_ratio


@pytest.fixture
def fitted(plain_cfg, checkpoint):
    return fit_gda(plain_cfg, checkpoint)


def test_figures_files_and_sentences(plain_cfg, fitted, sample_root, tmp_path):
    folder = next(sample_root.rglob('*.jpg')).parent
    taps = ['penultimate', 'backbone[0]']
    options = dict(number=2, size=32, taps=taps, products=200)
    answers = check_distances(
        plain_cfg, fitted, folder, tmp_path / 'out', **options
    )
    written = json.loads((tmp_path / 'out' / 'distances.json').read_text())
    assert written == answers
    # 12 channels at a quarter of the rows and columns, for three colours.
    assert answers['penultimate']['values_per_input'] == 12 / 3 / 16
    pictures = sorted((tmp_path / 'out').glob('*.png'))
    assert len(pictures) == 2
    for name, scores in answers['penultimate']['flattest']['scores'].items():
        shown = '_'.join(f'{score:.1f}' for score in scores)
        assert any(f'{name}_{shown}' in file.name for file in pictures)
    assert cv2.imread(str(pictures[0])).shape == (32, 64, 3)
    for figures in answers.values():
        assert len(figures['bands']) == 8
        flattest = figures['flattest']
        assert max(flattest['ratios'].values()) < min(figures['bands']) / 10
        assert max(flattest['products'].values()) <= 201
    for path in answers['penultimate']['flattest']['path'].values():
        assert [size for size, _, _ in path] == pytest.approx(
            [0.15 / 8, 0.15 / 4, 0.15 / 2, 0.15], rel=0.1
        )
        assert all(after < before for _, before, after in path)
    lines = sentences(answers)
    assert 'cannot keep all distances' in lines[0]
    assert len(lines) == 6 + 2
    assert 'searches converged' in lines[2]


def test_a_folder_in_the_place_of_the_file(tmp_path):
    """Which is said before the network is read."""
    (tmp_path / 'distances.json').mkdir()
    with pytest.raises(OSError, match=r'distances\.json: it is a folder'):
        check_distances('absent.py', 'absent.pth', tmp_path, tmp_path)


def test_pairs_are_those_of_the_features(
    plain_cfg, fitted, sample_root, tmp_path
):
    files = sorted(sample_root.rglob('*.jpg'))[:2]
    answers = check_distances(
        plain_cfg, fitted, files, tmp_path / 'out', size=48, products=20
    )
    model = init_ddu(plain_cfg, fitted)
    found = {}
    conv = model.decode_head.conv_seg
    conv.register_forward_pre_hook(lambda _, args: found.update(z=args[0]))
    images, features = [], []
    preprocess = model.data_preprocessor.forward

    def keep(data, training=False):
        data = preprocess(data, training)
        images.append(data['inputs'])
        return data

    model.data_preprocessor.forward = keep
    for file in files:
        predict(model, str(file))
        features.append(found['z'])
    unit = torch.cat(images).std()
    wanted = torch.dist(*features) / torch.dist(*images) * unit
    pairs = answers['penultimate']['pairs']
    assert pairs['max'] == pytest.approx(float(wanted), rel=1e-4)


def test_images_of_any_unit(plain_cfg, checkpoint, sample_root, tmp_path):
    files = sorted(sample_root.rglob('*.jpg'))[:2]
    shown = []
    for std in (1.0, 10.0):
        cfg = copy.deepcopy(plain_cfg)
        cfg.model.data_preprocessor.update(mean=[0] * 3, std=[std] * 3)
        # The first layer undoes the unit: both are the same network.
        content = torch.load(checkpoint, weights_only=False)
        for name, weight in content['state_dict'].items():
            if name == 'backbone.stem.0.weight':
                weight *= std / 10
        file = tmp_path / f'{std}.pth'
        torch.save(content, file)
        out = tmp_path / str(std)
        model = fit_gda(cfg, file)
        shown.append(
            check_distances(
                cfg, model, files, out, number=2, size=32, products=20
            )
        )
        for path in out.glob('*.png'):
            picture = cv2.imread(str(path)).astype(float)
            assert abs(picture[:, :32] - picture[:, 32:]).mean() > 2
    one, other = (answers['penultimate'] for answers in shown)
    assert one['pairs']['max'] == pytest.approx(other['pairs']['max'], 1e-3)
    assert one['bands'] == pytest.approx(other['bands'], 0.02)


def test_one_image_is_too_few(plain_cfg, fitted, sample_root, tmp_path):
    file = next(sample_root.rglob('*.jpg'))
    with pytest.raises(ValueError, match='two images or more'):
        check_distances(plain_cfg, fitted, file, tmp_path, size=32)


def test_ratio_of_known_images():
    one, other = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    assert distance_ratio(lambda x: 3 * x, one, other) == pytest.approx(3)
