"""Fit and score one feature tensor with this package and with others.

50 maps of 512 x 64 x 64 features, 21 classes, 198,450 labelled pixels.
Every library runs in a process of its own, with the threads given; times are
processor time, memory is what a step holds beyond the data. The ranks of all
scores are compared with those of a loop in float64. Libraries that are not
installed (``pip install pytorch-ood probly``) are left out with the reason.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.measure import peak_mib
from mmseg_ddu.apis import cli
from mmseg_ddu.core.densities.gaussian import GaussianDensity
from mmseg_ddu.fileio import write_json

IMAGES, WIDTH, SIDE, CLASSES, LABELLED = 50, 512, 64, 21, 3969
CPU = torch.device('cpu')


def images(count: int):
    """Features (512, 4096) with overlapping classes, labels with void."""
    rng = torch.Generator().manual_seed(0)
    means = 0.3 * torch.randn(CLASSES, WIDTH, generator=rng)
    mixing = torch.randn(WIDTH, WIDTH, generator=rng) / WIDTH**0.5
    for index in range(count):
        rng = torch.Generator().manual_seed(1 + index)
        labels = torch.randint(CLASSES, (8, 8), generator=rng)
        labels = labels.repeat_interleave(8, 0).repeat_interleave(8, 1)
        labels = labels.flatten()
        noise = torch.randn(WIDTH, SIDE * SIDE, generator=rng)
        features = mixing @ noise + means[labels].T + 1
        yield (
            features,
            torch.where(torch.arange(len(labels)) < LABELLED, labels, -1),
        )


def ours():
    """One pass over the maps; the nearest Gaussians are computed."""
    density = GaussianDensity(CLASSES, WIDTH, shrinkage=0.0)

    def fit(maps):
        moments = density.new_moments()
        for features, labels in maps:
            moments.update(features.T, labels)
        density.fit_moments(moments)

    return fit, lambda features: -density.score_samples(features.T)


def ours_all_classes():
    """The same with all Gaussians of all pixels."""
    fit, _ = parts = ours()
    density = parts[1].__closure__[0].cell_contents

    def score(features):
        return -density.log_prob(features.T).logsumexp(1)

    return fit, score


def float64_loop():
    """The reference: moments and distances in float64, class by class."""
    state: dict = {}

    def fit(maps):
        count = torch.zeros(CLASSES).double()
        total = torch.zeros(CLASSES, WIDTH).double()
        square = torch.zeros(CLASSES, WIDTH, WIDTH).double()
        for features, labels in maps:
            for label in labels[labels >= 0].unique().tolist():
                x = features.T[labels == label].double()
                count[label] += len(x)
                total[label] += x.sum(0)
                square[label] += x.T @ x
        means = total / count[:, None]
        outer = means[:, :, None] * means[:, None]
        cov = (square - count[:, None, None] * outer) / (count - 1)[
            :, None, None
        ]
        floor = 1e-6 * cov.diagonal(dim1=1, dim2=2).mean()
        cov = cov + floor * torch.eye(WIDTH).double()
        state.update(means=means, lower=torch.linalg.cholesky(cov))

    def score(features):
        rows = []
        for mean, lower in zip(state['means'], state['lower']):
            y = torch.linalg.solve_triangular(
                lower, features.double() - mean[:, None], upper=False
            )
            rows.append(-0.5 * y.square().sum(0) - lower.diag().log().sum())
        constant = 0.5 * WIDTH * np.log(2 * np.pi) + np.log(CLASSES)
        return constant - torch.stack(rows).logsumexp(0)

    return fit, score


def pytorch_ood():
    """pytorch_ood.detector.GMM, which keeps all features."""
    from pytorch_ood.detector import GMM

    detector = GMM(None)

    def fit(maps):
        pairs = [(z.T, y) for z, y in maps]
        detector.fit_features(
            torch.cat([z for z, _ in pairs]), torch.cat([y for _, y in pairs])
        )

    return fit, lambda features: detector.predict_features(features.T)


def probly():
    """probly's Gaussian density of features, in the versions that have it."""
    import importlib

    import probly as package

    try:
        module = importlib.import_module('probly.representation.ddu')
    except ImportError as error:
        version = metadata.version('probly')
        raise ImportError(
            f'probly {version} ({package.__name__}) has no Gaussian density '
            'of features'
        ) from error
    raise ImportError(f'{module.__name__} is not known to this benchmark')


METHODS = dict(
    float64_loop=float64_loop,
    mmseg_ddu=ours,
    mmseg_ddu_all_classes=ours_all_classes,
    pytorch_ood=pytorch_ood,
    probly=probly,
)


def measure(name: str, folder: Path, threads: int) -> dict:
    """Fit and score with one library; the scores go into the folder."""
    torch.set_num_threads(threads)
    try:
        fit, score = METHODS[name]()
    except ImportError as error:
        return dict(missing=str(error))
    data = list(images(IMAGES))
    start = time.process_time()
    fit_mib = peak_mib(lambda: fit(data), CPU)
    fit_s = time.process_time() - start
    features: Tensor = data[0][0]
    score_mib = peak_mib(lambda: score(features), CPU)
    seconds = []
    for _ in range(3):
        start = time.process_time()
        scores = score(features)
        seconds.append(time.process_time() - start)
    np.save(folder / f'{name}.npy', scores.double().numpy())
    return dict(
        fit_s=round(fit_s, 2),
        fit_mib=round(fit_mib or 0),
        score_s=round(float(np.median(seconds)), 3),
        score_mib=round(score_mib or 0),
    )


def compare(threads: int) -> dict:
    """Every library in its own process."""
    from scipy.stats import spearmanr

    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in METHODS:
            command = [
                sys.executable,
                '-m',
                'benchmarks.peers',
                '--only',
                name,
            ]
            command += ['--folder', folder, '--threads', str(threads)]
            output = subprocess.run(
                command, check=True, capture_output=True, text=True
            ).stdout
            results[name] = json.loads(output.splitlines()[-1])
            print(name, results[name], flush=True)
        reference = np.load(Path(folder) / 'float64_loop.npy')
        for name, row in results.items():
            if 'missing' not in row:
                scores = np.load(Path(folder) / f'{name}.npy')
                rank = spearmanr(scores, reference).statistic
                row['spearman'] = round(float(rank), 6)
    versions = {}
    for package in ('torch', 'pytorch-ood', 'probly'):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return dict(
        data=f'{IMAGES} x {WIDTH} x {SIDE} x {SIDE}, {CLASSES} classes, '
        f'{IMAGES * LABELLED} labelled pixels; scored: one map',
        threads=threads,
        versions=versions,
        libraries=results,
    )


def main() -> None:
    parser = cli.parser(
        __doc__, 'python -m benchmarks.peers --json results/benchmark.json'
    )
    parser.add_argument('--threads', type=int, default=1, help='(1)')
    parser.add_argument(
        '--json', help='file whose "peers" are replaced by the result'
    )
    parser.add_argument('--only', choices=METHODS, help=argparse.SUPPRESS)
    parser.add_argument('--folder', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        row = measure(args.only, Path(args.folder), args.threads)
        print(json.dumps(row))
        return
    peers = compare(args.threads)
    print(json.dumps(peers, indent=2))
    if args.json:
        path = Path(args.json)
        old = json.loads(path.read_text()) if path.is_file() else {}
        write_json(path, {**old, 'peers': peers})


if __name__ == '__main__':
    main()
