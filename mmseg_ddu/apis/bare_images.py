"""Pipelines for images that come without labels."""

from __future__ import annotations

from mmcv.transforms import Compose
from mmengine.logging import MMLogger

# What a data set with labels gives to its pipeline.
LABEL_KEYS = (
    'gt_seg_map',
    'label_map',
    'reduce_zero_label',
    'seg_fields',
    'seg_map_path',
)


class BareImagePipeline(Compose):
    """Test steps on an image alone; a step that needs labels is left out.

    Steps of mmseg that load labels are taken out by name before. One of the
    user's own, under any name, shows itself by the key that it misses.

    Raises:
        KeyError: If it stands inside test-time augmentation, which is more
            than that step.
    """

    def transform(self, results: dict) -> dict | None:
        """Prepare one image; what is left out is said once."""
        for step in list(self.transforms):
            try:
                after = step(dict(results))
            except KeyError as error:
                named = error.args and error.args[0] in LABEL_KEYS
                if not named or hasattr(step, 'subroutines'):
                    raise
                self.transforms.remove(step)
                MMLogger.get_current_instance().warning(
                    f'{type(step).__name__} of the test pipeline needs '
                    f'{error.args[0]}, which an image without labels does '
                    'not have: it is left out.'
                )
                continue
            if after is None:
                return None
            results = after
        return results
