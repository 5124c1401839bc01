"""Fit the densities when training ends."""

from __future__ import annotations

from pathlib import Path

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from mmseg_ddu.registry import HOOKS

from .fit import fit_gda


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

    def before_train(self, runner) -> None:
        """Densities of an earlier training would be wrong soon."""
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        if hasattr(model, 'gda_head'):
            model.gda_head.reset()

    def after_train(self, runner) -> None:
        """Fit each checkpoint once."""
        found = self.checkpoints(runner)
        if not found:
            runner.logger.warning(
                'FitGDAHook found no checkpoint to fit the densities on; was '
                'CheckpointHook switched off?'
            )
        for checkpoint in found:
            runner.logger.info(f'Fitting the densities of {checkpoint}')
            fit_gda(
                runner.cfg,
                checkpoint,
                gda_head=self.gda_head,
                **self.fit_options,
            )

    def checkpoints(self, runner) -> list[Path]:
        """Files of the last and the best checkpoints that exist."""
        info = runner.message_hub.runtime_info
        names = ['last_ckpt']
        if self.fit_best:
            names += sorted(n for n in info if n.startswith('best_ckpt'))
        paths = [Path(str(info[name])) for name in names if info.get(name)]
        return [path for path in dict.fromkeys(paths) if path.is_file()]
