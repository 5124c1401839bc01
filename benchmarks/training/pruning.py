"""Does a pruned network keep its densities?

Before the training of a recipe, 90, 95 or 98% of the weights of convolutions
and linear layers are set to zero, and stay zero: those that ProsPr finds least
worth, those with the smallest product of weight and gradient on one batch
(SNIP, Lee et al., ICLR 2019, arXiv 1810.02340), or any. All have the same
rule of which layers may be pruned. The columns are those of
`python -m benchmarks.training`; `zeros` is the share in the last checkpoint.

  python -m benchmarks.training.pruning --networks A --weights B --data C
"""

from __future__ import annotations

from mmengine.config import Config

from benchmarks.training.other_pruning_hooks import (
    RandomPruningHook,
    SNIPHook,
)
from benchmarks.training.trainings import measure_variants
from benchmarks.training.variants import Change, Variant
from mmseg_ddu.apis import cli
from mmseg_ddu.engine.pruning import ProsPrHook

PERCENT = (90, 95, 98)
METHODS = dict(prospr=ProsPrHook, snip=SNIPHook, random=RandomPruningHook)


def pruned(hook: type, sparsity: float) -> Change:
    """Prune before the first step."""

    def change(cfg: Config) -> None:
        own = dict(type=f'mmseg_ddu.{hook.__name__}', sparsity=sparsity)
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), own]

    return change


PRUNED: dict[str, Variant] = {
    'plain': (),
    **{
        f'{method} {percent}': (pruned(hook, percent / 100),)
        for percent in PERCENT
        for method, hook in METHODS.items()
    },
}


def main() -> None:
    measure_variants(
        cli.parser(__doc__, 'python -m benchmarks.training.pruning …'),
        PRUNED,
        'results/pruning.json',
    )


if __name__ == '__main__':
    cli.run(main)
