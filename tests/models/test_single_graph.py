"""What a file adds to a registry works in PyTorch, traced and as ONNX."""

import pytest
import torch
from torch import nn

from mmseg_ddu.apis.onnx_export import compare, require_close, write_onnx
from mmseg_ddu.core.densities import DENSITIES
from mmseg_ddu.core.densities.gaussian import GaussianDensity
from mmseg_ddu.core.transforms import TRANSFORMS
from mmseg_ddu.models.single_graph import OUTPUTS, SingleGraph
from tests.models.fitting import build, fit


class Squares(nn.Module):
    def __init__(self, channels, num_classes):
        super().__init__()
        self.num_features = channels

    def forward(self, features):
        return features.square()


class Nearest(GaussianDensity):
    """A density of its own: the class that is nearest, and nothing else."""

    def __init__(self, num_classes, num_features, half=False):
        super().__init__(num_classes, num_features, 'diag', reg_covar=1e-2)
        self.half = half

    def score_samples(self, features):
        vectors, _ = self._prepared(features.float())
        return self._joint(vectors).amax(1) * (0.5 if self.half else 1)


@pytest.fixture
def plug_ins():
    TRANSFORMS.register('squares')(Squares)
    DENSITIES.register('nearest')(Nearest)
    yield
    del TRANSFORMS['squares'], DENSITIES['nearest']


@torch.no_grad()
@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(transform='squares'),
        dict(density='nearest', half=True),
        dict(transform=['null_space', 'direction'], stride=1),
        dict(rank=4, components=2, priors='empirical'),
        dict(covariance_type='tied'),
        dict(many=True),
    ],
    ids=lambda options: ' '.join(options) or 'default',
)
def test_every_choice_is_one_graph(demo_cfg, plug_ins, tmp_path, options):
    pytest.importorskip('onnx')
    pytest.importorskip('onnxruntime')
    options = dict(options)
    many = options.pop('many', False)
    if many:  # Gaussians, so that the nearest are chosen
        demo_cfg.model.decode_head.update(num_classes=60, channels=48)
    demo_cfg.model.gda_head.update(options)
    model = build(demo_cfg)
    model.decode_head.conv_seg.weight.mul_(1000)  # not all doubt alike
    fit(model, images=4, size=96 if many else 48)
    assert getattr(model.gda_head.density, 'sketched', False) == many
    graph = SingleGraph(model)
    images = [torch.rand(1, 3, *size) * 255 for size in ((48, 64), (61, 83))]
    path = tmp_path / 'model.onnx'
    write_onnx(graph, path, (48, 48))
    require_close([compare(graph, path, [image]) for image in images], 2e-3)
    traced = torch.jit.trace(graph, (images[0],), check_trace=False)
    for image in images:
        for name, want, got in zip(OUTPUTS, graph(image), traced(image)):
            torch.testing.assert_close(
                got, want, rtol=1e-4, atol=2e-3, msg=name
            )
