"""Deep ensembles: K networks, with the same output fields."""

from __future__ import annotations

from collections.abc import Sequence

from mmseg.models import EncoderDecoder
from mmseg.models.segmentors.base import BaseSegmentor
from torch import Tensor, nn

from mmseg_ddu.core.errors import require
from mmseg_ddu.registry import MODELS

from .heads import last_decode_head
from .sampled_maps import SampledMapsMixin


@MODELS.register_module()
class EnsembleSegmentor(SampledMapsMixin, EncoderDecoder):
    """Average the predictions of K trained networks.

    Deep ensembles (Lakshminarayanan et al., 2017, arXiv 1612.01474). The
    members are trained apart, from other seeds, and put together for a test;
    sliding windows, flips and resizing act on their mean. Its state dict
    holds ``members.0.*`` to ``members.K-1.*``;
    :func:`mmseg_ddu.engine.build.build_ensemble` makes it from K
    checkpoints. The fields are those of :class:`SampledMapsMixin`.

    Args:
        member (dict or Sequence[dict]): Config of a segmentor, or one for
            each member. ``test_cfg`` and preprocessing are the first's.
        num_members (int): K, if there is one config.

    Raises:
        ValueError: If there are fewer than two members, or they differ in
            their classes.
    """

    def __init__(
        self,
        member: dict | Sequence[dict],
        num_members: int = 3,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
        pretrained: str | None = None,
    ) -> None:
        configs = [member] * num_members
        if not isinstance(member, dict):
            configs = list(member)
        require(len(configs) >= 2, 'at least 2 members', len(configs))
        if data_preprocessor is None:
            data_preprocessor = configs[0].get('data_preprocessor')
        # Not EncoderDecoder's own constructor: the parts are the members'.
        BaseSegmentor.__init__(self, data_preprocessor, init_cfg)
        self.members = nn.ModuleList(
            MODELS.build(dict(config)) for config in configs
        )
        sizes = [(m.num_classes, m.out_channels) for m in self.members]
        alike = 'members with the same classes and channels'
        require(len(set(sizes)) == 1, alike, sizes)
        first = self.members[0]
        self.align_corners = first.align_corners
        self.num_classes = first.num_classes
        self.out_channels = first.out_channels
        self.train_cfg, self.test_cfg = first.train_cfg, first.test_cfg

    @property
    def decode_head(self) -> nn.Module:
        """The first member's, for what mmseg asks of a head."""
        return last_decode_head(self.members[0])

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]):
        """Log mean probabilities and mutual information, (B, C + 1, H, W)."""
        channels = self.decode_head.out_channels
        # What follows the logits are maps of the member's own.
        return self.averaged(
            member.encode_decode(inputs, batch_img_metas)[:, :channels]
            for member in self.members
        )

    def loss(self, inputs: Tensor, data_samples: list) -> dict:
        """Members are trained apart."""
        raise NotImplementedError(
            'An ensemble is not trained as one: train each member with its '
            'own config and another seed (--cfg-options randomness.seed=1).'
        )
