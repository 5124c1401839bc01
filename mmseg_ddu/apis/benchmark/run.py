"""The benchmark of one config: predictions, fit, memory, scaling."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.evaluation import IoUMetric
from torch import nn

from mmseg_ddu.engine.build import read_config
from mmseg_ddu.engine.checkpoint import read_checkpoint
from mmseg_ddu.engine.fitting_data import as_batch
from mmseg_ddu.engine.fit import fit_densities
from mmseg_ddu.engine.fit_report import versions
from mmseg_ddu.engine.safe_load import safe_loading
from mmseg_ddu.fileio import write_json

from .measure import flops, interleaved, peak_mib, ratio, summary
from .scaling import plot, scaling_tables
from .variants import (
    DrawnImages,
    Variants,
    build_variants,
    mean_probabilities,
    sampled_whole,
)

PASSES, MEMBERS = 5, 3
RATIOS = (
    *('default_cpu', 'full_cpu', 'default_gpu', 'full_gpu'),
    *('mc5_over_ddu', 'ens3_over_ddu', 'fit_over_eval'),
)


@safe_loading()
def benchmark(
    config: str | os.PathLike | Config,
    checkpoint: str | os.PathLike | None = None,
    *,
    gda_head: dict | None = None,
    size: int = 512,
    rounds: int = 3,
    fit_images: int = 3,
    threads: int | None = None,
    device: str | None = None,
    json_path: str | os.PathLike | None = None,
    plot_path: str | os.PathLike | None = None,
    cfg_options: dict | None = None,
) -> dict:
    """Measure what predictions and the fit cost; see ``tools/benchmark.py``.

    All ratios are medians of the ratios within rounds in which every method
    runs once, in one process.

    Args:
        config (str or Config): An mmseg config.
        checkpoint (str, optional): Weights; random ones without.
        gda_head (dict, optional): Arguments of the default density head.
        size (int): Height and width of the image.
        rounds (int): Of the single-pass methods; sampled ones take a third.
        fit_images (int): Images of the fit and the evaluation pass.
        threads (int, optional): Of torch on the CPU.
        device (str, optional): ``cuda`` if there is one, else ``cpu``.
        json_path (str, optional): File to write; its ``peers`` are kept.
        plot_path (str, optional): PNG of the scaling tables.
        cfg_options (dict, optional): Overrides settings of the config.

    Returns:
        dict: What ``--json`` writes.
    """
    if threads:
        torch.set_num_threads(threads)
    cfg = read_config(config, cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    state = read_checkpoint(checkpoint)['state_dict'] if checkpoint else None
    if device is None:
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
    place = torch.device(device)
    variants = build_variants(cfg, state, place, gda_head, PASSES)
    result: dict = dict(
        machine=machine(place),
        config=str(cfg.filename),
        checkpoint=str(checkpoint) if checkpoint else None,
        gda_head=dict(gda_head or cfg.model.get('gda_head') or {}),
        size=size,
        ratios=dict.fromkeys(RATIOS),
    )
    with torch.no_grad():
        _predictions(result, variants, size, rounds, place)
        _memory(result, variants, size, place)
        result['fit'] = _fit(variants, fit_images, size, place)
        result['ratios']['fit_over_eval'] = result['fit']['ratio']
        result['scaling'] = scaling_tables(place)
    if json_path:
        path = Path(json_path)
        old = json.loads(path.read_text()) if path.is_file() else {}
        result['peers'] = old.get('peers')
        write_json(path, result)
    if plot_path:
        plot(result['scaling'], plot_path)
    return result


def machine(device: torch.device) -> dict:
    """What the figures were measured on."""
    name = platform.processor()
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
        name = next(
            line.split(':')[1].strip()
            for line in lines
            if line.startswith('model name')
        )
    except (OSError, StopIteration):
        pass
    cuda = device.type == 'cuda'
    return dict(
        cpu=name,
        cores=os.cpu_count(),
        threads=torch.get_num_threads(),
        gpu=torch.cuda.get_device_name(device) if cuda else None,
        clock='wall' if cuda else 'processor time',
        versions=versions(),
    )


def _batch(size: int, classes: int) -> dict:
    return as_batch(DrawnImages(1, size, classes)[0])


def _predictions(
    result: dict,
    variants: Variants,
    size: int,
    rounds: int,
    device: torch.device,
) -> None:
    """Latency, FLOPs and parameters of every method."""
    data = _batch(size, variants.plain.num_classes)
    singles: dict[str, Callable] = dict(
        plain=lambda: variants.plain.test_step(data)
    )
    for name in variants.heads:
        singles[f'ddu_{name}'] = lambda name=name: variants.use(
            name
        ).test_step(data)
    prepared = variants.plain.data_preprocessor(data, False)
    inputs = prepared['inputs']
    meta = [prepared['data_samples'][0].metainfo]
    several: dict[str, Callable] = dict(
        ensemble_3=lambda: mean_probabilities(
            [variants.plain] * MEMBERS, inputs, meta
        )
    )
    if variants.mc_dropout is not None:
        several['mc_dropout_5_whole'] = lambda: sampled_whole(
            variants.plain, inputs, meta, PASSES
        )
        several['mc_dropout_5_head'] = lambda: variants.mc_dropout.test_step(
            data
        )
    # Counting operations warms up as well.
    counted = {name: flops(function) for name, function in singles.items()}
    counted['ensemble_3'] = MEMBERS * counted['plain']
    counted['mc_dropout_5_whole'] = PASSES * counted['plain']
    if variants.mc_dropout is not None:
        counted['mc_dropout_5_head'] = flops(several['mc_dropout_5_head'])
    seconds = interleaved(singles, rounds, device, warmup=False)
    one = dict(ddu_default=singles['ddu_default'])
    some = max(1, rounds // 3)
    sampled = interleaved({**one, **several}, some, device, warmup=False)
    base = sampled.pop('ddu_default')

    weights = sum(p.numel() for p in variants.plain.parameters())
    methods = {}
    for name, measured in {**seconds, **sampled}.items():
        head = variants.heads.get(name.removeprefix('ddu_'))
        buffers = sum(b.numel() for b in head.buffers()) if head else 0
        copies = MEMBERS if name.startswith('ensemble') else 1
        methods[name] = dict(
            summary(measured),
            gflop=round(counted[name] / 1e9, 4),
            parameters=copies * weights,
            density_numbers=buffers,
        )
        if name in seconds:
            methods[name]['over_plain'] = ratio(measured, seconds['plain'])
        else:
            methods[name]['over_ddu'] = ratio(measured, base)
    result['methods'] = methods
    where = 'gpu' if device.type == 'cuda' else 'cpu'
    ratios = result['ratios']
    for name in ('default', 'full'):
        ratios[f'{name}_{where}'] = methods[f'ddu_{name}']['over_plain']
    ratios['ens3_over_ddu'] = methods['ensemble_3']['over_ddu']
    if variants.mc_dropout is not None:
        ratios['mc5_over_ddu'] = methods['mc_dropout_5_whole']['over_ddu']


def _memory(
    result: dict, variants: Variants, size: int, device: torch.device
) -> None:
    """Extra peak of scoring alone, and of all of a prediction."""
    data = _batch(size, variants.plain.num_classes)
    plain = peak_mib(lambda: variants.plain.test_step(data), device)
    scoring, whole = {}, {}
    for name in variants.heads:
        model = variants.use(name)
        prepared = model.data_preprocessor(data, False)
        meta = [prepared['data_samples'][0].metainfo]
        _, features = next(model.iter_features(prepared['inputs'], meta))
        head = model.gda_head
        scoring[name] = _rounded(
            peak_mib(lambda h=head, f=features: h(f), device)
        )
        del features
        peak = peak_mib(lambda m=model: m.test_step(data), device)
        whole[name] = _rounded(None if peak is None else peak - plain)
    result['extra_mib'] = scoring['default']
    result['memory_mib'] = dict(
        plain_prediction=_rounded(plain),
        scoring=scoring,
        prediction_minus_plain=whole,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _fit(
    variants: Variants, count: int, size: int, device: torch.device
) -> dict:
    """The fit of the default densities against a plain evaluation pass."""
    images = DrawnImages(count, size, variants.plain.num_classes)
    model = variants.use('default')
    seconds = interleaved(
        dict(
            evaluation=lambda: _evaluate(variants.plain, images),
            fit=lambda: fit_densities(model, images),
        ),
        1,
        device,
        warmup=False,
    )
    return dict(
        images=count,
        evaluation_s=round(seconds['evaluation'][0], 3),
        fit_s=round(seconds['fit'][0], 3),
        ratio=ratio(seconds['fit'], seconds['evaluation']),
    )


@torch.no_grad()
def _evaluate(model: nn.Module, images: DrawnImages) -> None:
    """Predict all images and count what mIoU needs, as a test does."""
    for item in images:
        sample = model.test_step(as_batch(item))[0]
        IoUMetric.intersect_and_union(
            sample.pred_sem_seg.data.squeeze(),
            item['data_samples']
            .gt_sem_seg.data.squeeze()
            .to(sample.pred_sem_seg.data),
            model.num_classes,
            255,
        )
