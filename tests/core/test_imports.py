"""core works with torch alone."""

import subprocess
import sys

SCRIPT = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('mmengine', 'mmcv', 'mmseg', 'cv2'):
            raise ImportError(name + ' is blocked')

sys.meta_path.insert(0, Block())
import torch
import mmseg_ddu.core as core
model = core.GaussianDensity(2, 3)
moments = model.new_moments()
moments.update(torch.randn(20, 3), torch.arange(20) % 2)
model.fit_moments(moments)
assert model.score_samples(torch.zeros(4, 3)).shape == (4,)
try:
    import mmengine
except ImportError:
    print('fine')
"""


def test_core_needs_torch_alone():
    done = subprocess.run(
        [sys.executable, '-c', SCRIPT], capture_output=True, text=True
    )
    assert done.stdout.strip() == 'fine', done.stderr
