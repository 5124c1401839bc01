"""What the maps promise, whatever the network."""

import copy

import pytest
import torch

from benchmarks.measure import OperatorCounter
from mmseg_ddu.core.bounds import WORST
from mmseg_ddu.models.map_names import MAPS
from mmseg_ddu.models.single_graph import OUTPUTS, SingleGraph
from tests.models.fitting import build, fit, metas, noise, samples

# Beside views, which compute nothing; the same for a batch of any size.
MOST_OPERATORS = 60
MORE_WHERE_CHOSEN = 36  # the nearest of many Gaussians


@pytest.fixture
def model(demo_cfg):
    return fit(build(demo_cfg))


@torch.no_grad()
def test_whole_equals_slide_where_the_feature_is_the_same(demo_cfg):
    """Windows of a network that looks at single cells alone."""
    demo_cfg.model.decode_head = dict(
        type='FCNHead',
        in_channels=3,
        in_index=0,
        channels=12,
        num_convs=1,
        kernel_size=1,
        concat_input=False,
        num_classes=6,
        norm_cfg=dict(type='BN'),
    )
    model = build(demo_cfg)
    model.extract_feat = lambda inputs: (inputs[:, :, ::4, ::4],)
    fit(model)
    inputs = noise(1, 3, 64, 96)
    whole = model.predict(inputs, samples(inputs))[0]
    model.test_cfg = model.test_cfg.copy()
    model.test_cfg.update(mode='slide', crop_size=(64, 64), stride=(32, 32))
    slide = model.predict(inputs, samples(inputs))[0]
    # Where a window ends, the next cell is not there to interpolate with.
    inner = [*range(0, 24), *range(40, 56), *range(72, 96)]
    for name in MAPS:
        a, b = (s.get(f'pred_{name}').data[..., inner] for s in (whole, slide))
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-2)


@torch.no_grad()
@pytest.mark.parametrize('mode', ['whole', 'slide'])
@pytest.mark.parametrize('value', [torch.nan, torch.inf, 3e38])
def test_lost_pixels_stay_visible(demo_cfg, mode, value):
    demo_cfg.model.gda_head.update(preset='ddu-paper')
    model = fit(build(demo_cfg))
    model.test_cfg = model.test_cfg.copy()
    model.test_cfg.update(mode=mode, crop_size=(48, 48), stride=(32, 32))
    inputs = noise(1, 3, 48, 48)
    clean = model.predict(inputs, samples(inputs, ori_shape=(96, 96)))[0]

    def spoil(_, args):
        (feature,) = args
        feature = feature.clone()
        feature[0, 1, 3, 5] = value
        return (feature,)

    handle = model.decode_head.conv_seg.register_forward_pre_hook(spoil)
    sample = model.predict(inputs, samples(inputs, ori_shape=(96, 96)))[0]
    handle.remove()
    cell = 96 // 12
    centre = (slice(3 * cell, 4 * cell), slice(5 * cell, 6 * cell))
    far = torch.ones(96, 96, dtype=torch.bool)
    far[: 6 * cell, 2 * cell : 9 * cell] = False
    for name in ('epistemic', 'total'):
        got = sample.get(f'pred_{name}').data[0]
        share = sample.get(f'pred_{name}_percentile').data[0]
        assert (got[centre] == WORST).all()
        assert (share[centre] == 1).all()
        assert got.isfinite().all()
        torch.testing.assert_close(
            got[far], clean.get(f'pred_{name}').data[0][far]
        )


@torch.no_grad()
def test_maps_are_the_same_bits_under_autocast(model):
    """Given the same feature and logits."""
    inputs = noise(2, 3, 48, 48)
    everything = model.encode_decode(inputs, metas(inputs))
    plain = model.fields(everything)
    novelty = model.image_novelty(inputs)
    with torch.autocast('cpu', torch.bfloat16):
        cast = model.fields(everything)
        assert torch.equal(model.image_novelty(inputs), novelty)
        sample = model.predict(inputs, samples(inputs))[0]
    for name, value in plain.items():
        assert torch.equal(cast[name], value), name
    for name in MAPS:
        assert sample.get(f'pred_{name}').data.dtype == torch.float32


class Watch(OperatorCounter):
    """Also notes operators with results of double precision."""

    def __init__(self):
        super().__init__()
        self.double = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = super().__torch_dispatch__(function, types, args, kwargs)
        if getattr(result, 'dtype', None) == torch.float64:
            self.double.append(function.overloadpacket.__name__)
        return result


@torch.no_grad()
@pytest.mark.parametrize('batch', [1, 4])
@pytest.mark.parametrize('many', [False, True])
def test_few_operators_and_no_waiting(demo_cfg, batch, many):
    if many:  # Gaussians, so that the nearest are chosen
        demo_cfg.model.decode_head.update(num_classes=60, channels=48)
    model = fit(build(demo_cfg), images=2, size=96)
    assert model.gda_head.density.sketched == many
    plain = build(demo_cfg, 'EncoderDecoder')
    image = torch.zeros(3, 96, 96, dtype=torch.uint8)
    counts = []
    for network in (plain, model):
        data = samples(image[None].expand(batch, -1, -1, -1))
        inputs = dict(inputs=[image] * batch, data_samples=data)
        with Watch() as watch:
            network.test_step(inputs)
        counts.append(watch)
    added = counts[1].operators - counts[0].operators
    assert added <= MOST_OPERATORS + many * MORE_WHERE_CHOSEN, added
    assert not counts[1].host_syncs and not counts[1].double


@torch.no_grad()
def test_one_graph(demo_cfg):
    model = build(demo_cfg)
    model.decode_head.conv_seg.weight.mul_(100)  # not all doubt alike
    fit(model)
    graph = SingleGraph(model)
    image = torch.rand(1, 3, 48, 64) * 255
    expected = graph(image)
    compiled = torch.compile(graph, fullgraph=True, backend='aot_eager')
    for name, want, got in zip(OUTPUTS, expected, compiled(image)):
        torch.testing.assert_close(got, want, rtol=1e-3, atol=5e-3, msg=name)
    data = dict(inputs=[image[0].to(torch.uint8)], data_samples=samples(image))
    model.data_preprocessor.size = None  # pads, which a graph does not
    sample = model.test_step(data)[0]
    again = graph(image.to(torch.uint8).float())
    for name, value in zip(OUTPUTS[1:4], again[1:4]):
        torch.testing.assert_close(
            value[0], sample.get(f'pred_{name}').data, rtol=1e-4, atol=1e-3
        )


def test_a_former_score_must_be_fitted_again(demo_cfg, model):
    state = build(demo_cfg, 'EncoderDecoder').state_dict()
    former = {
        **state,
        'gda_head.views.0.density.means': torch.zeros(6, 12),
        'gda_head.fitted': torch.tensor(True),
        'gda_head.format_version': torch.tensor(2),
    }
    fresh = build(demo_cfg)
    with pytest.raises(ValueError, match='Fit again'):
        fresh.load_state_dict(former, strict=False)
    del former['gda_head.format_version']
    with pytest.raises(ValueError, match='Fit again'):
        fresh.load_state_dict(former, strict=False)
    good = model.state_dict()
    for key, value in (
        ('gda_head.density.means', torch.zeros(7, 12)),
        ('gda_head.density.means', torch.full((6, 12), torch.nan)),
        ('gda_head.density.precisions_cholesky', torch.zeros(6, 12, 12)),
        ('map_calibration.temperature', torch.tensor(0.0)),
    ):
        with pytest.raises(ValueError, match='Fit again'):
            fresh.load_state_dict({**good, key: value}, strict=False)
    short = {k: v for k, v in good.items() if 'cells' not in k}
    with pytest.raises(ValueError, match='no calibration'):
        fresh.load_state_dict(short, strict=False)
    assert not fresh.gda_head.ready
    fresh.load_state_dict(good)
    assert fresh.gda_head.ready and not fresh.scaled
    fresh.load_state_dict(state, strict=False)  # weights alone
    inputs = noise(1, 3, 48, 48)
    with torch.no_grad():
        assert fresh.predict(inputs, samples(inputs))


def test_flags_follow_the_state_through_a_wrapper(demo_cfg, model):
    """Whether there is a density and a temperature."""
    model.map_calibration.temperature.fill_(2.0)
    fresh = build(demo_cfg)
    wrapper = torch.nn.ModuleDict(dict(module=fresh))
    state = {f'module.{k}': v for k, v in model.state_dict().items()}
    wrapper.load_state_dict(state)
    assert fresh.gda_head.ready and fresh.scaled
    unfitted = {
        f'module.{k}': v for k, v in build(demo_cfg).state_dict().items()
    }
    wrapper.load_state_dict(unfitted)
    assert not fresh.gda_head.ready and not fresh.scaled
    state['module.image_novelty.quantiles'].fill_(torch.nan)
    with pytest.raises(ValueError, match='damaged.*quantiles'):
        wrapper.load_state_dict(state)


@torch.no_grad()
def test_novelty_sees_noise_and_not_padding(demo_cfg):
    model = fit(build(demo_cfg), images=40)
    novelty = model.image_novelty
    plain = noise(30, 3, 48, 48, seed=5)
    far = torch.nn.functional.avg_pool2d(plain, 3, 1, 1)
    assert novelty(far).min() > novelty(plain).max()
    assert novelty.percentile(novelty(plain)).mean() < 0.8
    padded = torch.nn.functional.pad(plain[:1], (0, 9, 0, 5))
    data = samples(plain[:1], img_padding_size=[0, 9, 0, 5])
    sample = model.predict(padded, copy.deepcopy(data))[0]
    expected = novelty(plain[:1])[0]
    torch.testing.assert_close(sample.metainfo['image_novelty'], expected)
