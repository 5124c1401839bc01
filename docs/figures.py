"""Draw the pictures of theory.md."""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use('Agg')

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.patches import Ellipse

from mmseg_ddu.core.densities.gaussian import GaussianDensity
from mmseg_ddu.core.scores import softmax_entropy
from mmseg_ddu.core.surprise import Surprise, total_surprise

COLORS = ('#3f7fbf', '#d64541', '#4daf4a')
UNSEEN = (9.0, -5.5)


def feature_space():
    """Points of three classes in the plane, (N, 2) and (N,)."""
    rng = np.random.default_rng(0)
    means = ([-3, 0], [0.2, 1.2], [-1, -4])
    spreads = ([[1.6, 0.6], [0.6, 0.7]], [[1.0, -0.3], [-0.3, 0.8]])
    spreads = (*spreads, [[0.6, 0.0], [0.0, 0.5]])
    points = [
        rng.multivariate_normal(mean, spread, 250)
        for mean, spread in zip(means, spreads)
    ]
    labels = np.repeat(np.arange(3), 250)
    return (
        torch.from_numpy(np.concatenate(points)).float(),
        torch.from_numpy(labels),
    )


def linear_logits(points, labels, grid):
    """What a linear softmax classifier, trained on the points, says."""
    classifier = torch.nn.Linear(2, 3)
    torch.nn.init.zeros_(classifier.weight)
    optimizer = torch.optim.LBFGS(classifier.parameters(), max_iter=100)

    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(classifier(points), labels)
        loss.backward()
        return loss

    optimizer.step(closure)
    return classifier(grid).detach()


def three_maps(path):
    points, labels = feature_space()
    density = GaussianDensity(3, 2)
    moments = density.new_moments()
    moments.update(points, labels)
    density.fit_moments(moments)
    x, y = np.meshgrid(np.linspace(-9, 12, 211), np.linspace(-9, 6, 151))
    grid = torch.from_numpy(np.stack([x, y], -1).reshape(-1, 2)).float()
    logits = linear_logits(points, labels, torch.cat([grid, points]))
    entropies = softmax_entropy(logits.T[None, :, None])[0, 0, 0]
    entropy, known = entropies.split([len(grid), len(points)])
    score = -density.score_samples(grid)
    surprises = Surprise(near_zero=True), Surprise()
    surprises[0].fit(known)
    surprises[1].fit(-density.score_samples(points))
    total = total_surprise(surprises[0](entropy), surprises[1](score))
    figure, axes = plt.subplots(1, 4, figsize=(13, 2.9), layout='tight')
    for label, color in enumerate(COLORS):
        chosen = points[labels == label]
        axes[0].scatter(*chosen.T, s=3, color=color)
        for scale in (2, 4):
            axes[0].add_patch(ellipse(chosen.numpy(), scale, color))
    axes[0].set_title('features and class Gaussians')
    titles = (
        'aleatoric: entropy [nats]',
        'epistemic: -log p [nats]',
        'total [nats of surprise]',
    )
    for axis, values, title, top in zip(
        axes[1:], (entropy, score, total), titles, (None, 60, 12)
    ):
        image = axis.pcolormesh(
            x, y, values.reshape(x.shape), cmap='magma', vmax=top
        )
        figure.colorbar(image, ax=axis)
        axis.scatter(*points.T, s=0.3, color='white', alpha=0.4)
        axis.set_title(title)
    for axis in axes:
        axis.plot(*UNSEEN, 'x', color='#00c0c0', markersize=9, mew=2.5)
        axis.set(xlim=(-9, 12), ylim=(-9, 6), xticks=[], yticks=[])
    save(figure, path)


def ellipse(points, scale, color):
    """Where a Gaussian is ``scale / 2`` standard deviations away."""
    values, vectors = np.linalg.eigh(np.cov(points.T))
    angle = np.degrees(np.arctan2(*vectors[::-1, 1]))
    width, height = scale * np.sqrt(values[::-1])
    return Ellipse(
        points.mean(0), width, height, angle=angle, fill=False, color=color
    )


def percentiles(path):
    rng = np.random.default_rng(0)
    training = rng.gamma(4, 1, 20000)
    unusual = rng.normal(11, 2.5, 20000)
    surprise = Surprise()
    surprise.fit(torch.from_numpy(training))
    x = np.linspace(0, 18, 300)
    level = surprise.percentile(torch.from_numpy(x))
    cut = float(np.quantile(training, 0.95))
    figure, axis = plt.subplots(figsize=(7, 2.6), layout='tight')
    for values, color, name in (
        (training, COLORS[0], 'training pixels, held out'),
        (unusual, COLORS[1], 'unusual pixels'),
    ):
        axis.hist(
            values, 90, range=(0, 18), density=True, color=color, alpha=0.5,
            label=name,
        )  # fmt: skip
    axis.axvline(cut, color='black', linestyle='--')
    axis.annotate('percentile 0.95', (cut, 0.22), (cut + 0.2, 0.22))
    axis.set(xlabel='score', yticks=[], xlim=(0, 18))
    right = axis.twinx()
    right.plot(x, level, color='black', label='percentile')
    right.set(ylabel='percentile', ylim=(0, 1.02))
    axis.legend(loc='center right')
    save(figure, path)


def save(figure, path):
    figure.savefig(path, dpi=80, metadata=dict(Software=None))
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out-dir', default='docs/images')
    folder = Path(parser.parse_args().out_dir)
    torch.manual_seed(0)
    for picture in (three_maps, percentiles):
        picture(folder / f'{picture.__name__}.png')


if __name__ == '__main__':
    main()
