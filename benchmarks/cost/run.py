"""The benchmark of one config: predictions, memory, fit, scaling."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmseg.evaluation import IoUMetric
from torch import nn

from benchmarks.drawn_images import VOID, drawn_images
from benchmarks.measure import (
    OperatorCounter,
    flops,
    interleaved,
    peak_mib,
    ratio,
    summary,
)
from mmseg_ddu.engine.build import read_config
from mmseg_ddu.engine.checkpoint import read_checkpoint
from mmseg_ddu.engine.fit import fit_densities
from mmseg_ddu.engine.fit_report import versions
from mmseg_ddu.engine.fitting_data import as_batch
from mmseg_ddu.engine.safe_load import safe_loading
from mmseg_ddu.fileio import write_json

from .densities import scoring
from .scaling import plot, scaling_tables
from .variants import build_variants, mean_probabilities, sampled_whole

PASSES, MEMBERS = 5, 3
MAIN = 'r50_cpu'
RATIOS = (
    MAIN,
    'deeplab_voc21_cpu',
    'cgnet_cpu',
    'fit_over_eval',
    'operators',
    'host_syncs',
    'extra_mib',
    'r50_gpu',
)


@safe_loading()
def benchmark(
    config: str | os.PathLike | Config,
    checkpoint: str | os.PathLike | None = None,
    *,
    gda_head: dict | None = None,
    size: tuple[int, int] = (512, 512),
    rounds: int = 3,
    fit_images: int = 20,
    threads: int | None = None,
    device: str | None = None,
    json_path: str | os.PathLike | None = None,
    name: str = 'r50_cpu',
    plot_path: str | os.PathLike | None = None,
    cfg_options: dict | None = None,
) -> dict:
    """Measure what predictions and the fit cost; see ``__main__.py``.

    All ratios are medians of the ratios within rounds in which every method
    runs once, in one process.

    Args:
        config (str or Config): An mmseg config.
        checkpoint (str, optional): Weights; random ones without.
        gda_head (dict, optional): Arguments of the default density head.
        size (tuple[int, int]): Height and width of the image.
        rounds (int): Repetitions.
        fit_images (int): Images of the fit and the evaluation pass.
        threads (int, optional): Of torch on the CPU.
        device (str, optional): ``cuda`` if there is one, else ``cpu``.
        json_path (str, optional): File to write; what else is in it is
            kept.
        name (str): Of the run in it.
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
    place = torch.device(
        device or ('cuda' if torch.cuda.is_available() else 'cpu')
    )
    variants = build_variants(cfg, state, place, gda_head, PASSES)
    classes = variants['plain'].num_classes
    images = drawn_images(max(1, fit_images), size, classes)
    data = as_batch(images[0])
    with torch.no_grad():
        result = dict(
            machine=machine(place),
            config=str(cfg.filename),
            checkpoint=str(checkpoint) if checkpoint else None,
            gda_head=dict(gda_head or cfg.model.get('gda_head') or {}),
            size=list(size),
            methods=_methods(variants, data, rounds, place),
            memory_mib=_memory(variants, data, place),
            operators=_operators(variants, images, place),
            fit=_fit(variants, images, place),
            scaling=scaling_tables(place),
        )
    if json_path:
        write_run(Path(json_path), name, result)
    if plot_path:
        plot(result['scaling'], plot_path)
    return result


def write_run(path: Path, name: str, result: dict) -> None:
    """Put a run beside the others, and its ratios where all are."""
    old = json.loads(path.read_text()) if path.is_file() else {}
    ratios = {**dict.fromkeys(RATIOS), **(old.get('ratios') or {})}
    ratios[name] = result['methods']['ddu_default']['over_plain']
    if name == MAIN or MAIN not in (old.get('runs') or {}):
        memory = result['memory_mib']['prediction']
        ratios.update(
            fit_over_eval=result['fit']['ratio'],
            extra_mib=round(memory['ddu_default'] - memory['plain'], 1),
            **result['operators'],
        )
    write_json(
        path,
        dict(
            ratios=ratios,
            runs={**(old.get('runs') or {}), name: result},
            peers=old.get('peers'),
        ),
    )


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


def _methods(
    variants: dict[str, nn.Module],
    data: dict,
    rounds: int,
    device: torch.device,
) -> dict[str, dict]:
    """Latency, FLOPs and parameters of every method."""
    functions = _predictions(variants, data)
    # Counting operations warms up as well.
    counted = {name: flops(function) for name, function in functions.items()}
    seconds = interleaved(functions, rounds, device, warmup=False)
    weights = sum(p.numel() for p in variants['plain'].parameters())
    methods = {}
    for name, measured in seconds.items():
        head = getattr(variants.get(name), 'gda_head', None)
        copies = MEMBERS if name.startswith('ensemble') else 1
        methods[name] = dict(
            summary(measured),
            over_plain=ratio(measured, seconds['plain']),
            over_ddu=ratio(measured, seconds['ddu_default']),
            gflop=round(counted[name] / 1e9, 4),
            parameters=copies * weights,
            density_numbers=sum(b.numel() for b in head.buffers())
            if head
            else 0,
        )
    return methods


def _predictions(
    variants: dict[str, nn.Module], data: dict
) -> dict[str, Callable[[], object]]:
    """One prediction by every method."""
    plain = variants['plain']
    prepared = plain.data_preprocessor(data, False)
    inputs = prepared['inputs']
    meta = [prepared['data_samples'][0].metainfo]
    functions: dict[str, Callable[[], object]] = {
        name: lambda model=model: model.test_step(data)
        for name, model in variants.items()
        if name != 'mc_dropout'
    }
    functions[f'ensemble_{MEMBERS}'] = lambda: mean_probabilities(
        [plain] * MEMBERS, inputs, meta
    )
    if 'mc_dropout' in variants:
        head_only = variants['mc_dropout']
        functions[f'mc_dropout_{PASSES}_whole'] = lambda: sampled_whole(
            plain, inputs, meta, PASSES
        )
        functions[f'mc_dropout_{PASSES}_head'] = lambda: head_only.test_step(
            data
        )
    return functions


def _memory(
    variants: dict[str, nn.Module], data: dict, device: torch.device
) -> dict:
    """Peak of a plain prediction, and of scoring and prediction of DDU."""
    prediction = {
        name: peak_mib(lambda model=model: model.test_step(data), device)
        for name, model in variants.items()
        if name != 'mc_dropout'
    }
    score = {
        name: peak_mib(scoring(model, data), device)
        for name, model in variants.items()
        if name.startswith('ddu')
    }
    return dict(prediction=prediction, scoring=score)


def _operators(
    variants: dict[str, nn.Module], images: list[dict], device: torch.device
) -> dict:
    """What DDU adds to a plain prediction of a batch of images."""
    data = pseudo_collate(images[:2])
    counts = {}
    for name in ('plain', 'ddu_default'):
        with OperatorCounter() as counter, torch.no_grad():
            variants[name].test_step(data)
        counts[name] = counter
    plain, ddu = counts['plain'], counts['ddu_default']
    return dict(
        operators=ddu.operators - plain.operators,
        host_syncs=ddu.host_syncs - plain.host_syncs,
    )


def _fit(
    variants: dict[str, nn.Module], images: list[dict], device: torch.device
) -> dict:
    """The fit of the default densities against a plain evaluation pass."""
    plain, ddu = variants['plain'], variants['ddu_default']
    seconds = interleaved(
        dict(
            evaluation=lambda: _evaluate(plain, images),
            fit=lambda: fit_densities(ddu, images),
        ),
        1,
        device,
        warmup=False,
    )
    return dict(
        images=len(images),
        evaluation_s=round(seconds['evaluation'][0], 3),
        fit_s=round(seconds['fit'][0], 3),
        ratio=ratio(seconds['fit'], seconds['evaluation']),
    )


def _evaluate(model: nn.Module, images: list[dict]) -> None:
    """Predict all images and count what mIoU needs, as a test does."""
    for item in images:
        sample = model.test_step(as_batch(item))[0]
        predicted = sample.pred_sem_seg.data.squeeze()
        label = item['data_samples'].gt_sem_seg.data.squeeze()
        IoUMetric.intersect_and_union(
            predicted, label.to(predicted), model.num_classes, VOID
        )
