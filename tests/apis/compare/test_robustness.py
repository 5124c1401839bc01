"""What is broken does not change the figures of what is not."""

import pytest


@pytest.fixture
def data(sample_root, tmp_path, demo_cfg):
    """The sample's test images, to be damaged; their config."""
    config = demo_cfg.test_dataloader.dataset
    root = tmp_path / 'sample'
    import shutil

    shutil.copytree(sample_root, root)
    return root, config
