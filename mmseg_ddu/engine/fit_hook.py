"""Fit the densities when training ends."""

from __future__ import annotations

import shutil
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from mmseg_ddu.fileio import atomic_write
from mmseg_ddu.registry import HOOKS

from .checkpoint import weights_digest
from .fit import default_output, fit_gda
from .ranks import on_main


@HOOKS.register_module()
class FitGDAHook(Hook):
    """Write ``*_gda.pth`` beside the last and the best checkpoint.

    Runs after every other ``after_train`` (priority LOWEST), when the last
    checkpoint is on disk; checkpoints already hold the averaged weights if
    an EMAHook is in use. The fit reads the files, exactly as
    ``tools/fit_gda.py`` does, so the model in memory is not touched. If it
    fails, the trained checkpoints are safe and the tool can be run again.

    Args:
        gda_head (dict, optional): Arguments of the density head, on top of
            those in the config.
        fit_best (bool): Also fit the ``save_best`` checkpoints.
        fit_options: Further arguments of :func:`fit_gda`.
    """

    priority = 'LOWEST'

    def __init__(
        self,
        gda_head: dict | None = None,
        fit_best: bool = True,
        **fit_options,
    ) -> None:
        self.gda_head = gda_head
        self.fit_best = fit_best
        self.fit_options = fit_options

    def after_train(self, runner) -> None:
        """Fit each checkpoint; one fit where weights are the same."""
        # Others may be here before the main process has saved.
        found = on_main(self._checkpoints, runner)
        if not found:
            runner.logger.warning(
                'FitGDAHook found no checkpoint to fit the densities on; was '
                'CheckpointHook switched off?'
            )
        fitted: dict[str, Path] = {}
        for checkpoint, digest in found:
            if digest in fitted:  # the last checkpoint is often the best
                runner.logger.info(
                    f'{checkpoint} holds the weights of {fitted[digest]}'
                )
                if is_main_process():
                    _copy_fit(fitted[digest], default_output(checkpoint))
                continue
            runner.logger.info(f'Fitting the densities of {checkpoint}')
            fitted[digest] = fit_gda(
                runner.cfg,
                checkpoint,
                gda_head=self.gda_head,
                **self.fit_options,
            )

    def _checkpoints(self, runner) -> list[tuple[Path, str]]:
        """The last and the best that exist, with digests of the weights."""
        info = runner.message_hub.runtime_info
        names = ['last_ckpt']
        if self.fit_best:
            names += sorted(n for n in info if n.startswith('best_ckpt'))
        paths = [Path(str(info[name])) for name in names if info.get(name)]
        files = filter(Path.is_file, dict.fromkeys(paths))
        return [(path, weights_digest(path)) for path in files]


def _copy_fit(source: Path, target: Path) -> None:
    """The checkpoint and its report under another name."""
    for suffix in ('.pth', '.json'):
        with atomic_write(target.with_suffix(suffix)) as temporary:
            shutil.copyfile(source.with_suffix(suffix), temporary)
