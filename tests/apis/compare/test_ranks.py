"""Several processes give the figures of one, and none of them hangs."""

import json

import pytest
import torch
from mmengine.dist import get_rank

from mmseg_ddu.apis import compare
from mmseg_ddu.apis.compare import method_runs, predictors, row_counts
from tests.processes import run_ranks
from tests.warm_processes import call, run_script

from .conftest import SETTING, assert_same_figures, figures


def run(cfg, names, out, fault=None, **options):
    if fault is not None:
        fault(get_rank())
    return compare(cfg, names, out, **{**SETTING, **options})


def test_three_ranks_share_eight_images(alone, few, sample_cfg, tmp_path):
    results = run_ranks(3, run, sample_cfg, few, tmp_path)
    assert_same_figures(results[0], alone)
    assert results[1] == results[2] == results[0]
    written = json.loads((tmp_path / 'results.json').read_text())
    assert written == results[0]
    assert written['machine']['processes'] == 3
    assert not list(tmp_path.glob('unfinished*'))


def test_more_ranks_than_images(few, sample_cfg, tmp_path):
    options = dict(max_images=2, shifts=['none'])
    one = run(sample_cfg, few[:2], tmp_path / 'one', **options)

    def member():
        seen = []
        original = row_counts.RowCounts.update
        row_counts.RowCounts.update = lambda self, *args: (
            seen.append(args[0]),
            original(self, *args),
        )
        content = run(sample_cfg, few[:2], tmp_path / 'b', **options)
        return content, seen

    results = run_ranks(3, member)
    assert_same_figures(results[0][0], one)
    assert [len(seen) for _, seen in results] == [1, 1, 0]


def fails_at_image(rank):
    """The second image of a rank does not fit its memory."""
    original, calls = predictors.Predictor.__call__, []

    def call(self, *args):
        if rank == 1 and any(m.name == 'ddu' for m in self.methods):
            calls.append(args)
            if len(calls) % 2 == 0:
                raise MemoryError('too large')
        return original(self, *args)

    predictors.Predictor.__call__ = call


def fails_when_built(rank):
    """A machine has too little memory for the densities."""
    original = predictors.Predictor._single

    def single(self, *args):
        if rank == 1 and any(m.name == 'ddu' for m in self.methods):
            raise MemoryError('too large')
        return original(self, *args)

    predictors.Predictor._single = single


def fails_when_timed(rank):
    """What only the first rank does."""
    original = method_runs.measure_cost

    def measure(predictor, *args):
        if any(m.name == 'ddu' for m in predictor.methods):
            raise MemoryError('too large')
        return original(predictor, *args)

    method_runs.measure_cost = measure


@pytest.mark.parametrize(
    'fault', [fails_at_image, fails_when_built, fails_when_timed]
)
def test_an_error_on_one_rank(fault, alone, few, sample_cfg, tmp_path):
    results = run_ranks(2, run, sample_cfg, few[:2], tmp_path, fault)
    assert results[0] == results[1]
    for row in ('ddu-epistemic', 'ddu-total', 'constant-per-image'):
        entry = results[0]['methods'].pop(row)
        assert entry['error'] == 'MemoryError: too large'
    assert_same_figures(results[0], alone, few[:1])


def test_an_error_of_the_first_rank_is_everyones(few, sample_cfg, tmp_path):
    protocol = dict(images=dict(plain=1), config='other.py', stride=1)
    other = json.dumps(dict(protocol=protocol, methods={}))
    (tmp_path / 'results.json').write_text(other)
    results = run_ranks(2, run, sample_cfg, few, tmp_path)
    for error in results:
        assert isinstance(error, FileExistsError)
        assert 'other settings' in str(error)


def test_the_tool(alone, few, sample_cfg, sample_root, tmp_path):
    """As torchrun starts it."""
    sample_cfg.dump(tmp_path / 'cfg.py')
    out = tmp_path / 'out'
    command = f"""
        tools/compare_uncertainty.py {tmp_path}/cfg.py --out-dir {out}
        --shifts noise upside_down --shift-images 2
        --stride 2 --patch 3 --timing-images 1 --device cpu
        --launcher pytorch --method""".split()
    arguments = [run_script, *command, *few]
    done = call(*arguments, ranks=2, DDU_SAMPLE=str(sample_root))
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count('| entropy |') == 1  # the first rank alone
    content = json.loads((out / 'results.json').read_text())
    assert torch.get_num_threads() == content['machine']['threads'] == 1
    assert_same_figures(content, alone)
    assert figures(content) != {}
