"""Any backbone, with a small slope where its ReLUs lose what is negative."""

from __future__ import annotations

from torch import nn

from mmseg_ddu.registry import MODELS


@MODELS.register_module(name='LeakyBackbone')
def leaky_backbone(
    backbone: str | type, negative_slope: float = 0.01, **options
) -> nn.Module:
    """A backbone whose ``ReLU`` and ``ReLU6`` are ``LeakyReLU``.

    Two inputs that differ in what a ReLU sets to zero have one feature; a
    slope keeps them apart (DDU, arXiv 2102.11582, section 3). Weights of
    the plain backbone load, but it has to be trained with the slope. For
    the average pooling in shortcuts that goes with it, set
    ``avg_down=True`` of mmseg's ``ResNet``.

    Args:
        backbone (str or type): A backbone of mmseg.
        negative_slope (float): Below zero.
        options: Arguments of the backbone.

    Raises:
        ValueError: If it has no ReLU.
    """
    model = MODELS.build(dict(options, type=backbone))
    places = [
        (module, name)
        for module in model.modules()
        for name, child in module.named_children()
        if isinstance(child, (nn.ReLU, nn.ReLU6))
    ]
    if not places:
        raise ValueError(
            f'{type(model).__name__} has no ReLU that could get a slope; '
            'leave LeakyBackbone out.'
        )
    for module, name in places:
        # Not in place: some backbones use the input again.
        setattr(module, name, nn.LeakyReLU(negative_slope))
    return model
