"""A class more in a tiny network: predictions, files, what is refused."""

import math

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.distributions import MultivariateNormal

from mmseg_ddu.apis import add_class, fit_gda, init_ddu, predict
from mmseg_ddu.engine.checkpoint import read_checkpoint
from mmseg_ddu.models.single_graph import SingleGraph
from tests.engine.fitted_density import density


@pytest.fixture
def fitted(plain_cfg, checkpoint):
    head = dict(stride=1, transform='raw', covariance_type='tied')
    return fit_gda(plain_cfg, checkpoint, gda_head=head)


@pytest.fixture
def model(plain_cfg, fitted):
    return init_ddu(plain_cfg, fitted)


@pytest.fixture
def picture(sample_root):
    """A photo with a patch of stripes, and where they are."""
    image = cv2.imread(str(min(sample_root.rglob('*.jpg'))))
    mask = np.zeros(image.shape[:2], bool)
    mask[8:32, 8:40] = True
    image[8:32:2, 8:40] = (0, 255, 255)
    image[9:32:2, 8:40] = (255, 0, 0)
    return image, mask


def feature_of(model, image):
    found = {}
    hook = model.decode_head.conv_seg.register_forward_pre_hook(
        lambda _, inputs: found.update(z=inputs[0])
    )
    sample = predict(model, image)
    hook.remove()
    return found['z'], sample


def test_pixels_are_of_the_class_that_is_likeliest(
    model, fitted, plain_cfg, picture, tmp_path
):
    image, mask = picture
    z, before = feature_of(model, image)
    old = density(fitted)
    out = tmp_path / 'more.pth'
    add_class(model, [image], [mask], 'stripes', out)
    # By hand, in float64: the mean of the cells, the shared covariance.
    cells = z[0].flatten(1).T.double()
    small = F.interpolate(
        torch.from_numpy(mask)[None, None].float(),
        z.shape[2:],
        mode='nearest-exact',
    )
    mean = cells[small.flatten() > 0].mean(0)
    factors = old['precisions_cholesky'].double()
    covariances = torch.linalg.inv(factors @ factors.mT)
    seen = old['log_norms'].isfinite()
    means = (old['means'] + old['offset'])[seen].double()
    known = [
        MultivariateNormal(m, covariances[0]).log_prob(cells) for m in means
    ]
    new = MultivariateNormal(mean, covariances[0]).log_prob(cells)
    margin = new - torch.stack(known).amax(0)
    margin = margin.view(1, 1, *z.shape[2:]).float()
    size = mask.shape
    margin = F.interpolate(margin, size, mode='bilinear')[0]
    after = predict(model, image)
    number = len(old['means'])
    expected = torch.where(margin > 0, number, before.pred_sem_seg.data)
    clear = margin.abs() > 1e-2
    assert torch.equal(
        after.pred_sem_seg.data[clear], expected[clear].to(torch.int64)
    )
    hit = (after.pred_sem_seg.data[0] == number).numpy()
    assert hit.any() and not hit.all()
    # The mixture has one part more; the softmax is as before.
    every = torch.stack([*known, new])
    scores = math.log(len(every)) - every.logsumexp(0)
    scores = scores.view(1, 1, *z.shape[2:]).float()
    scores = F.interpolate(scores, size, mode='bilinear')[0]
    torch.testing.assert_close(
        after.pred_epistemic.data, scores, rtol=1e-3, atol=1e-3
    )
    assert torch.equal(after.seg_logits.data, before.seg_logits.data)
    # The file is the same model, with the config as it was.
    again = init_ddu(plain_cfg, out)
    assert again.dataset_meta['classes'][-1] == 'stripes'
    assert len(again.dataset_meta['palette']) == number + 1
    sample = predict(again, image)
    for field in ('pred_sem_seg', 'pred_epistemic', 'pred_total'):
        assert torch.equal(sample.get(field).data, after.get(field).data)


def test_two_classes_slide_and_one_graph(plain_cfg, fitted, picture):
    image, mask = picture
    model = init_ddu(plain_cfg, fitted)
    add_class(model, [image, image[::-1]], [mask, mask[::-1]], 'stripes')
    add_class(model, [image], [~mask], 'the rest')
    whole = predict(model, image).pred_sem_seg.data
    assert {model.num_classes, model.num_classes + 1} <= set(
        whole.unique().tolist()
    )
    size = list(mask.shape)
    options = {
        'model.test_cfg': dict(mode='slide', crop_size=size, stride=size)
    }
    slide = init_ddu(plain_cfg, fitted, cfg_options=options)
    add_class(slide, [image, image[::-1]], [mask, mask[::-1]], 'stripes')
    add_class(slide, [image], [~mask], 'the rest')
    assert torch.equal(predict(slide, image).pred_sem_seg.data, whole)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    assert torch.equal(SingleGraph(model)(pixels)[0][0], whole)


def test_thresholds_are_dropped_and_a_new_fit_starts_anew(
    model, plain_cfg, picture, tmp_path, said
):
    image, mask = picture
    model.abstention.ready = True
    out = tmp_path / 'more.pth'
    add_class(model, [image], [mask], 'stripes', out)
    assert 'abstention' in said[-1] and not model.abstention.ready
    with pytest.raises(ValueError, match='without tta'):
        init_ddu(plain_cfg, out, tta=True)
    again = fit_gda(plain_cfg, out, tmp_path / 'again.pth')
    assert 'added' not in read_checkpoint(again)['meta']['gda']['head']
    head = dict(added=['stripes'])
    with pytest.raises(ValueError, match='add them again'):
        fit_gda(plain_cfg, out, tmp_path / 'no.pth', gda_head=head)


def test_bad_input_is_refused_and_changes_nothing(model, picture):
    image, mask = picture
    taken = model.dataset_meta['classes'][0]
    cases = [
        ([image], [mask], taken, 'not among'),
        ([image], [mask], '', 'not among'),
        ([image], [], 'new', 'a mask for each image'),
        ([image], [mask[1:]], 'new', r'labels\[0\].*shape'),
        ([image], [mask.astype(np.uint8)], 'new', 'type bool'),
        ([image], [mask & False], 'new', 'No pixel'),
    ]
    for images, labels, name, words in cases:
        with pytest.raises(ValueError, match=words):
            add_class(model, images, labels, name)
    assert model.gda_head.added == ()
    with pytest.raises(ValueError, match='from init_ddu'):
        add_class(torch.nn.Identity(), [image], [mask], 'new')
