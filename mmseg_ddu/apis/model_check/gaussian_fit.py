"""How well the Gaussian of each class fits vectors it has not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mmseg_ddu.apis.kept_parts import Part
from mmseg_ddu.core.densities.gaussian import GaussianDensity
from mmseg_ddu.core.kmeans import class_centers

from .error_figures import column, numbers

FEW_VECTORS = 10  # times the features
COMPONENTS = 4
DIMENSIONS = 16  # in which one and several Gaussians are compared
ENOUGH = 200  # vectors of a class in either half of the images


def fit_figures(
    model: nn.Module,
    parts: Sequence[Part],
    classes: Sequence[str],
    fit: Mapping,
    seed: int,
) -> dict:
    """Of the Gaussians of each class, one against several.

    ``parts`` are of :func:`measure_fit`, ``fit`` is ``meta['gda']``.
    """
    vectors = torch.cat([torch.from_numpy(part['vectors']) for part in parts])
    labels, images = column(parts, 'labels'), numbers(parts, 'labels')
    log_probs, distances = own_densities(model.gda_head, vectors, labels)
    half = images % 2 == 1
    gains = several_gain(vectors, labels, half, len(classes), seed)
    counts = fit.get('vectors_per_class') or [None] * len(classes)
    least = FEW_VECTORS * vectors.shape[1]
    rows = {}
    for label, name in enumerate(classes):
        own = labels == label
        seen = bool(own.any())
        rows[str(name)] = dict(
            vectors_held_out=int(own.sum()),
            images_held_out=len(images[own].unique()),
            vectors_fitted=counts[label],
            few=counts[label] is not None and counts[label] < least,
            log_likelihood=float(log_probs[own].mean()) if seen else None,
            distance=(
                float(distances[own].mean())
                if seen and distances is not None
                else None
            ),
            several_gain=gains[label],
        )
    known = [gain for gain in gains if gain is not None]
    return dict(
        classes=rows,
        images_fitted=fit.get('images'),
        components=model.gda_head.density.components,
        several_gain=sum(known) / len(known) if known else None,
        classes_gaining=sum(gain > 0 for gain in known),
        classes_compared=len(known),
    )


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


def several_gain(
    vectors: Tensor, labels: Tensor, half: Tensor, classes: int, seed: int
) -> list[float | None]:
    """Nats a vector that several Gaussians gain on unseen images.

    Both are fitted on half of the images and judged on the others, in the
    principal dimensions of the class in the former, each class by itself.

    Args:
        vectors, labels (Tensor): (N, D) and (N,).
        half (Tensor): (N,) bool, those that judge.

    Returns:
        list: For each class; None with too few vectors.
    """
    gains: list[float | None] = []
    finite = vectors.isfinite().all(1)
    for label in range(classes):
        own = finite & (labels == label)
        fitted, judged = vectors[own & ~half], vectors[own & half]
        if min(len(fitted), len(judged)) < ENOUGH:
            gains.append(None)
            continue
        middle = fitted.double().mean(0)
        fitted, judged = fitted.double() - middle, judged.double() - middle
        found = torch.linalg.eigh(fitted.mT @ fitted).eigenvectors
        basis = found[:, -DIMENSIONS:]
        one, several = (
            _log_likelihood(fitted @ basis, judged @ basis, number, seed)
            for number in (1, COMPONENTS)
        )
        gains.append(several - one)
    return gains


def _log_likelihood(
    fitted: Tensor, judged: Tensor, components: int, seed: int
) -> float:
    """Mean over judged vectors of one class, in nats."""
    density = GaussianDensity(1, fitted.shape[1], components=components)
    own = torch.zeros(len(fitted), dtype=torch.int64)
    if components > 1:
        centers = class_centers(fitted, own, 1, components, seed)
        density.centers.copy_(centers.flatten(0, 1))
    moments = density.new_moments()
    moments.update(fitted, density.groups(fitted, own))
    density.fit_moments(moments)
    return float(density.log_prob(judged).mean())
