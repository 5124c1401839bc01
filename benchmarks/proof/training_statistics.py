"""What the scores of others need to know of the training features."""

from __future__ import annotations

import torch
from rich.progress import track
from torch import Tensor, nn

from mmseg_ddu.core.sampling import pixels_of
from mmseg_ddu.core.scores import max_logit
from mmseg_ddu.engine.labelled_windows import labelled_image
from mmseg_ddu.engine.labels import cells_per_class
from mmseg_ddu.models.gda_head import PENULTIMATE
from mmseg_ddu.models.heads import classifying_head
from mmseg_ddu.models.tapped_modules import LOGITS

NEIGHBOURS = 10
CELLS = 60  # of an image


class TrainingStatistics:
    """Features and logits of sampled cells of the training images.

    Args:
        model (nn.Module): A DDU segmentor.
        features (Tensor): (N, D) inputs of its classifier.
        logits (Tensor): (N, C) outputs.
    """

    def __init__(
        self, model: nn.Module, features: Tensor, logits: Tensor
    ) -> None:
        self.bank = nn.functional.normalize(features)
        self._set_max_logits(logits)
        self._set_virtual_logit(model, features, logits)

    def _set_max_logits(self, logits: Tensor) -> None:
        highest, classes = logits.max(1)
        number = logits.shape[1]
        self.max_mean, self.max_std = torch.zeros(number), torch.ones(number)
        for c in range(number):
            values = highest[classes == c]
            if len(values) > 1:
                self.max_mean[c] = values.mean()
                self.max_std[c] = values.std().clamp(min=1e-6)

    def _set_virtual_logit(
        self, model: nn.Module, features: Tensor, logits: Tensor
    ) -> None:
        classifier = classifying_head(model).conv_seg
        weight = classifier.weight.detach().flatten(1).double()
        bias = classifier.bias
        bias = torch.zeros(len(weight)) if bias is None else bias.detach()
        self.origin = -(torch.linalg.pinv(weight) @ bias.double())
        moved = features.double() - self.origin
        values, vectors = torch.linalg.eigh(moved.T @ moved / len(moved))
        self.residual = vectors[:, : len(values) // 2]
        norm = (moved @ self.residual).norm(dim=1)
        self.scale = logits.amax(1).double().sum() / norm.sum()

    def knn(self, features: Tensor) -> Tensor:
        """Distance to the tenth neighbour (Sun et al., 2022), (N, D)->(N,)."""
        features = nn.functional.normalize(features)
        found = []
        for part in features.split(1024):
            near = (part @ self.bank.T).topk(NEIGHBOURS, dim=1).values[:, -1]
            found.append((2 - 2 * near).clamp(min=0).sqrt())
        return torch.cat(found)

    def vim(self, features: Tensor, logits: Tensor) -> Tensor:
        """Virtual-logit matching (Wang et al., 2022, arXiv 2203.10807)."""
        norm = ((features.double() - self.origin) @ self.residual).norm(dim=1)
        return (self.scale * norm).float() - logits.logsumexp(1)

    def sml(self, logits: Tensor) -> Tensor:
        """Standardised max logit (Jung et al., 2021, arXiv 2107.11264)."""
        classes = logits.argmax(1)
        score = max_logit(logits)[:, 0]
        return (score + self.max_mean[classes]) / self.max_std[classes]


def training_statistics(model, dataset, seed: int) -> TrainingStatistics:
    """Of seeded labelled cells of every image of a data set, in whole mode.

    Void is left out, as for the densities: unknown objects may lie there.
    """
    generator = torch.Generator().manual_seed(seed)
    classes = classifying_head(model).num_classes
    features, logits = [], []
    for image in track(range(len(dataset)), 'Training features'):
        (window,) = labelled_image(model, dataset[image]).windows(model)
        z, y = (window.features[tap] for tap in (PENULTIMATE, LOGITS))
        cells, _ = cells_per_class(window.labels, z.shape[2:], None, classes)
        order = torch.randperm(len(cells), generator=generator)
        chosen = cells[order[:CELLS]]
        features.append(pixels_of(z, chosen))
        logits.append(pixels_of(y, chosen))
    return TrainingStatistics(model, torch.cat(features), torch.cat(logits))
