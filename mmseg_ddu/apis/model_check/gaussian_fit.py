"""How well the Gaussian of each class fits vectors it has not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mmseg_ddu.apis.kept_parts import Part

FEW_VECTORS = 10  # times the features


def fit_figures(
    model: nn.Module,
    parts: Sequence[Part],
    classes: Sequence[str],
    fit: Mapping,
) -> dict:
    """Of the Gaussians of each class.

    Args:
        model (nn.Module): A fitted DDU segmentor.
        parts (Sequence[Part]): Of :func:`measure_fit`, one for each image.
        classes (Sequence[str]): Their names.
        fit (Mapping): ``meta['gda']`` of the checkpoint.
    """
    vectors = torch.cat([torch.from_numpy(part['vectors']) for part in parts])
    labels = torch.cat([torch.from_numpy(part['labels']) for part in parts])
    log_probs, distances = own_densities(model.gda_head, vectors, labels)
    counts = fit.get('vectors_per_class') or [None] * len(classes)
    least = FEW_VECTORS * vectors.shape[1]
    rows = {}
    for label, name in enumerate(classes):
        own = labels == label
        seen = bool(own.any())
        holding = [part for part in parts if (part['labels'] == label).any()]
        rows[str(name)] = dict(
            vectors_held_out=int(own.sum()),
            images_held_out=len(holding),
            vectors_fitted=counts[label],
            few=counts[label] is not None and counts[label] < least,
            log_likelihood=float(log_probs[own].mean()) if seen else None,
            distance=(
                float(distances[own].mean())
                if seen and distances is not None
                else None
            ),
        )
    return dict(classes=rows, images_fitted=fit.get('images'))


def own_densities(
    head: nn.Module, vectors: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Log density of each vector under its own class, and its distance.

    Returns:
        tuple: (N,) nats; and (N,) squared Mahalanobis distance over the
        number of features, whose mean is 1 for vectors that the Gaussian
        describes (None where a class has several Gaussians or a subspace).
    """
    density = head.density
    device = density.means.device
    found = []
    for some, own in zip(vectors.split(1024), labels.split(1024)):
        every = density.log_prob(some.to(device)).cpu()
        found.append(every.gather(1, own[:, None].long())[:, 0])
    log_probs = torch.cat(found)
    if density.components > 1 or density.rank is not None:
        return log_probs, None
    highest = density.log_prob(density.means + density.offset).diag()
    norms = highest.cpu()[labels.long()]
    return log_probs, 2 * (norms - log_probs) / vectors.shape[1]
