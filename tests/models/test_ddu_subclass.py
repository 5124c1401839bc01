"""Segmentors that users derived from mmseg's get densities by themselves."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.models import EncoderDecoder

from mmseg_ddu.apis import fit_gda, init_ddu, predict
from mmseg_ddu.apis import test as run_test
from mmseg_ddu.models.convert import to_ddu_model, to_plain_model
from mmseg_ddu.models.ddu_segmentor import DDUMixin
from mmseg_ddu.registry import MODELS
from tests.warm_processes import call, run_script

MODULE = """
from mmseg.models import EncoderDecoder
from mmseg.registry import MODELS


@MODELS.register_module(force=True)
class Sharpened(EncoderDecoder):
    def __init__(self, *args, factor=1.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.factor = factor

    def encode_decode(self, inputs, batch_img_metas):
        return self.factor * super().encode_decode(inputs, batch_img_metas)


@MODELS.register_module(force=True)
class Averaging(Sharpened):
    def inference(self, inputs, batch_img_metas):
        return super().inference(inputs, batch_img_metas).softmax(1)
"""
ELSEWHERE = """
import sys
import numpy as np
import torch
from mmseg_ddu.apis import init_ddu, predict
torch.set_num_threads(1)
model = init_ddu('config.py', sys.argv[1], 'cpu')
np.save('total.npy', predict(model, np.load('image.npy')).pred_total.data)
"""


@pytest.fixture
def derived(plain_cfg, tmp_path, monkeypatch):
    """A config of a segmentor of one's own."""
    (tmp_path / 'own_segmentor.py').write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    plain_cfg.model.update(type='Sharpened', factor=3.0)
    plain_cfg.custom_imports = dict(imports=['own_segmentor'])
    plain_cfg.dump('config.py')
    return Config.fromfile('config.py')


@pytest.mark.parametrize('mode', ['whole', 'slide'])
def test_maps_beside_unchanged_predictions(
    derived, checkpoint, tmp_path, mode
):
    test_cfg = dict(mode=mode, crop_size=(32, 32), stride=(16, 16))
    derived.model.test_cfg = test_cfg
    derived.dump('config.py')
    image = np.random.default_rng(0).integers(0, 256, (48, 40, 3), np.uint8)
    fitted = fit_gda(derived, checkpoint)
    model = init_ddu(derived, fitted, 'cpu')
    assert isinstance(model, DDUMixin)
    plain = MODELS.build(derived.model).eval()
    weights = torch.load(checkpoint, weights_only=True)['state_dict']
    plain.load_state_dict(weights)
    assert weights.keys() < model.state_dict().keys()
    got = predict(model, image)
    plain.pipelines = model.pipelines
    expected = predict(plain, image)
    assert type(plain).__name__ == 'Sharpened' and plain.factor == 3
    torch.testing.assert_close(got.seg_logits.data, expected.seg_logits.data)
    augmented = predict(init_ddu(derived, fitted, 'cpu', tta=True), image)
    assert augmented.pred_total.data.shape == (1, 48, 40)
    if mode == 'whole':  # in a new process
        np.save('image.npy', image)
        script = tmp_path / 'elsewhere.py'
        script.write_text(ELSEWHERE)
        call(run_script, script, fitted, cwd=tmp_path).check_returncode()
        assert 'mIoU' in run_test(derived, fitted)
        assert np.allclose(np.load('total.npy'), got.pred_total.data)


def test_there_and_back(derived):
    plain = derived.model
    converted = to_ddu_model(plain, dict(components=2))
    assert to_ddu_model(converted) == converted
    assert to_plain_model(converted) == plain
    by_class = dict(plain, type=MODELS.build(plain).__class__)
    assert isinstance(MODELS.build(to_ddu_model(by_class)), by_class['type'])


def test_what_the_maps_could_not_come_through_is_refused(derived):
    derived.model.type = 'Averaging'
    with pytest.raises(TypeError, match='its own inference.*DDUMixin'):
        to_ddu_model(derived.model)

    # What the error says to write.
    class Written(DDUMixin, EncoderDecoder):
        pass

    MODELS.register_module(name='DDUWritten', module=Written, force=True)
    plain = {k: v for k, v in derived.model.items() if k != 'factor'}
    own = dict(plain, type='mmseg_ddu.DDUWritten')
    assert isinstance(MODELS.build(to_ddu_model(own)), Written)
    derived.model.type = 'NowhereToBeFound'
    with pytest.raises(TypeError, match="'NowhereToBeFound'.*custom_imports"):
        to_ddu_model(derived.model)
