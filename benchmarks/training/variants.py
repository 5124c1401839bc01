"""What is changed in a plain network, one thing at a time."""

from __future__ import annotations

from collections.abc import Callable

from mmengine.config import Config

Change = Callable[[Config], None]
Variant = tuple[Change, ...]


def spectral_cap(coefficient: float) -> Change:
    """Cap the norms of the backbone's convolutions."""

    def change(cfg: Config) -> None:
        hook = dict(type='mmseg_ddu.SpectralCapHook', coefficient=coefficient)
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), hook]

    return change


def leaky(cfg: Config) -> None:
    """A slope below zero in the backbone."""
    backbone = cfg.model.backbone
    backbone.update(type='mmseg_ddu.LeakyBackbone', backbone=backbone.type)


def gaussians(**options) -> Change:
    """Class log densities for logits."""

    def change(cfg: Config) -> None:
        head = cfg.model.decode_head
        head.update(
            type='mmseg_ddu.GaussianHead',
            head=head.type,
            gaussian=options,
        )

    return change


VARIANTS: dict[str, Variant] = {
    'plain': (),
    'spectral cap 3': (spectral_cap(3),),
    'spectral cap 6': (spectral_cap(6),),
    'leaky': (leaky,),
    'gaussian head': (gaussians(),),
    'gaussian head, 5 components': (gaussians(components=5),),
    'gaussian head, spectral cap 6': (gaussians(), spectral_cap(6)),
}
