"""Does a map put the right pixels on top?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from . import METRIC
from .metric import JudgedImage, Metric
from .patches import trio_at_percentiles
from .pixel_groups import PixelGroups
from .ranking_counts import RankingCounts
from .selective_risk import augrc, aurc, e_aurc, risk_at, risk_coverage

CORRECT, WRONG, UNLABELLED = 'correct', 'wrong', 'unlabelled'
AMBIGUOUS = 'ambiguous '
OOD = 'ood'
COVERAGE = 0.9
CURVE_POINTS = 100


def _both(name: str) -> list[str]:
    return [name, AMBIGUOUS + name]


@METRIC.register('ranking')
class PixelRanking(Metric):
    """AUROC, AUPR and FPR95 of three questions, and selective prediction.

    - ``mis``: wrong against right pixels; with AURC, E-AURC, AUGRC, and
      ``mis_risk90``, the share of wrong pixels among the 90% most certain;
    - ``ood``: out-of-distribution against in-distribution pixels;
    - ``amb``: pixels of ambiguous classes against other labelled ones.

    ``mis_share`` and so on are the shares of positives. A question without
    pixels on one side is left out.

    Args:
        ambiguous (Sequence[int]): Classes that cannot be told apart.
        kinds (Mapping[str, Sequence[str]], optional): Name of a question
            like ``ood`` to names of ``JudgedImage.strange``; the default is
            ``{'ood': ['ood']}``.
    """

    prefix = 'uncertainty'
    # Groups of in-distribution pixels.
    ordinary = (*_both(CORRECT), *_both(WRONG), UNLABELLED)
    on_shifts = True
    columns = ('mis_AUROC', 'mis_AURC', 'mis_AUGRC')
    lower_is_better = (
        *('mis_AURC', 'mis_E-AURC', 'mis_AUGRC', 'mis_risk90'),
        *('mis_FPR95', 'ood_FPR95', 'amb_FPR95'),
    )

    def __init__(
        self,
        ambiguous: Sequence[int] = (),
        kinds: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.ambiguous = list(ambiguous)
        self.kinds = {OOD: [OOD]} if kinds is None else kinds
        self.settings = dict(ambiguous=self.ambiguous, kinds=self.kinds)
        self.groups = PixelGroups()

    def count(self, image: JudgedImage, score: Tensor | None = None) -> None:
        """Add an image; score (H, W)."""
        if score is None:
            raise ValueError('Expected a score for each pixel.')
        twins = image.labels.new_tensor(self.ambiguous)
        twins = torch.isin(image.labels, twins)
        masks = {
            CORRECT: image.right & ~twins,
            WRONG: image.wrong & ~twins,
            AMBIGUOUS + CORRECT: image.right & twins,
            AMBIGUOUS + WRONG: image.wrong & twins,
        }
        if image.unlabelled is not None:
            masks[UNLABELLED] = image.unlabelled
        for name, mask in {**masks, **image.strange}.items():
            # As indices: a bool mask is slow.
            where = mask.flatten().nonzero()[:, 0]
            self.groups.update(name, score.flatten()[where])

    def wrong(self) -> RankingCounts:
        """Counts of wrong (positives) against right pixels."""
        return self.groups.versus(_both(WRONG), _both(CORRECT))

    def against(self, names: Iterable[str]) -> RankingCounts:
        """Counts of strange pixels against those in distribution."""
        return self.groups.versus(names, self.ordinary)

    def figures(self) -> dict[str, float]:
        """All shares, with the names of the questions in front."""
        questions = dict(
            mis=self.wrong(),
            **{kind: self.against(n) for kind, n in self.kinds.items()},
            amb=self.groups.versus(
                [AMBIGUOUS + CORRECT, AMBIGUOUS + WRONG], [CORRECT, WRONG]
            ),
        )
        result: dict[str, float] = {}
        for question, counts in questions.items():
            positives, negatives = counts.num_positives, counts.num_negatives
            if not positives or not negatives:
                continue
            values = dict(
                AUROC=counts.auroc(),
                AUPR=counts.aupr(),
                FPR95=counts.fpr_at_tpr(0.95),
                share=positives / (positives + negatives),
            )
            if question == 'mis':
                values |= {
                    'AURC': aurc(counts),
                    'E-AURC': e_aurc(counts),
                    'AUGRC': augrc(counts),
                    'risk90': risk_at(counts, COVERAGE),
                }
            result |= {f'{question}_{k}': v for k, v in values.items()}
        return result

    def curves(self) -> dict:
        """``risk_coverage``, ``histogram`` and ``trio_pixels``."""
        wrong = self.wrong()
        coverage, risk = risk_coverage(wrong, CURVE_POINTS)
        labels = {CORRECT: _both(CORRECT), WRONG: _both(WRONG)}
        for name in self.groups.groups:
            if name not in self.ordinary:
                labels[name] = [name]
        return dict(
            risk_coverage=dict(coverage=coverage, risk=risk),
            histogram=self.groups.histogram(labels),
            trio_pixels=trio_at_percentiles(wrong)._asdict(),
        )
