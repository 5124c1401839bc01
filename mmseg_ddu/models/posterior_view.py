"""The view of the class from an early feature."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mmseg_ddu.core.bounds import WORST
from mmseg_ddu.core.grouping import ClassGroups, labels_of
from mmseg_ddu.core.scores import entropy

from .views import View


class PosteriorView(View):
    """Entropy of the classes given an early feature, in nats.

    By Bayes' rule, from class Gaussians that share their covariance, with
    the frequencies of the classes as priors: linear discriminant analysis.
    The late layers are trained to be sure; the early ones have a second
    opinion, and where an object is of no class it is a divided one.

    Classes that nothing can tell apart divide it as well. So it counts the
    less, the more doubt all pixels of the predicted class share anyway
    (:func:`mmseg_ddu.core.shared_doubt.shared_doubt` of the classifier), and
    not at all from one bit on, the doubt between two classes that are
    equally likely. That takes an entropy view in the same head.
    """

    class_weight: Tensor
    smallest_spread = 1e-3  # nats
    # Its channels are many and its covariance is one for all classes.
    pixels_per_class = 64

    @property
    def needs_classes(self) -> bool:
        return True

    def build(self, num_classes: int, density: dict) -> None:
        options = dict(density, covariance_type='tied', priors='empirical')
        super().build(num_classes, dict(options, rank=None))
        self.register_buffer('class_weight', torch.ones(num_classes))

    def transformed(self, pixels: Tensor) -> Tensor:
        return pixels

    def discount(self, doubt: Tensor) -> None:
        """Store how much each class counts, in [0, 1].

        Args:
            doubt (Tensor): (C,), what its pixels share of the classifier's
                doubt, in nats.
        """
        self.class_weight.copy_((1 - doubt / math.log(2)).clamp_min(0))

    def score(
        self,
        vectors: Tensor,
        predicted: Tensor | ClassGroups | None = None,
        scale: Tensor | None = None,
    ) -> Tensor:
        """Features (N, D) and their predicted classes (N,) -> (N,)."""
        log_posterior = self.density.log_posterior(vectors)
        return self.counted(log_posterior, labels_of(predicted))

    def counted(self, log_posterior: Tensor, predicted: Tensor) -> Tensor:
        """Entropy of (N, C), as far as it counts, (N,)."""
        entropies = entropy(log_posterior)[:, 0]
        weighted = entropies * self.class_weight[predicted]
        return weighted.nan_to_num(nan=WORST)
