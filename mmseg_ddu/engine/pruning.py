"""Pruning before training, by what a weight is worth after some steps."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from mmengine.dist import all_reduce, get_rank
from mmengine.hooks import Hook
from mmengine.model import revert_sync_batchnorm
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.data import DataLoader

from mmseg_ddu.registry import HOOKS

from .ranks import without_wrapper

MASKS = 'prospr_masks'  # in a checkpoint


@HOOKS.register_module()
class ProsPrHook(Hook):
    """Prune a network at initialisation by meta-gradients (ProsPr).

    Each weight has a mask, at first one. The network takes a few steps of
    gradient descent on training batches, and the loss on a further batch is
    differentiated through these steps by the masks. Weights with the smallest
    gradients are set to zero once, over all layers together, and stay zero
    in the training (Alizadeh et al., ICLR 2022, arXiv 2202.08132).

    Weights of convolutions and linear layers are pruned, but those of the
    classifiers (``conv_seg`` in their names); norms and biases never are.
    Each layer keeps its best weight. The loss is that of mmseg: void pixels
    count in nothing, auxiliary heads in it.

    Args:
        sparsity (float): Share of the prunable weights to remove, in (0, 1).
        steps (int): Of gradient descent before the loss is asked.
        lr (float): Of these steps.
        momentum (float): Of these steps.

    Raises:
        ValueError: On options that make no sense.
    """

    priority = 'ABOVE_NORMAL'  # before weights are averaged and saved

    def __init__(
        self,
        sparsity: float,
        steps: int = 3,
        lr: float = 0.5,
        momentum: float = 0.9,
    ) -> None:
        if not 0 < sparsity < 1 or steps < 1 or not lr > 0:
            raise ValueError(
                'Expected sparsity to be in (0, 1), steps and lr to be '
                f'positive, but got {sparsity!r:.80}, {steps!r:.80} and '
                f'{lr!r:.80}.'
            )
        self.sparsity, self.steps = sparsity, steps
        self.lr, self.momentum = lr, momentum
        self.masks: dict[str, Tensor] = {}
        self._loaded: dict[str, Tensor] = {}
        self._weights: dict[str, nn.Parameter] = {}

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Keep its masks, in case that its training goes on."""
        self._loaded = dict(checkpoint.get(MASKS, {}))

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Keep the masks beside the weights."""
        checkpoint[MASKS] = {k: v.cpu() for k, v in self.masks.items()}

    def before_train(self, runner) -> None:
        """Score and prune, or take the masks of a training that goes on.

        Raises:
            ValueError: If it goes on, and there are no such masks.
        """
        model = without_wrapper(runner.model)
        weights = prunable_weights(model)
        masks = self._loaded if runner.iter else self._found(runner, model)
        shapes = {name: weight.shape for name, weight in weights.items()}
        if {name: mask.shape for name, mask in masks.items()} != shapes:
            raise ValueError(
                'ProsPr prunes before the first step, but this training goes '
                'on and its checkpoint holds no masks of this network. Start '
                'it anew, or leave the hook out.'
            )
        self.masks = {k: m.to(weights[k].device) for k, m in masks.items()}
        self._weights = weights
        self._apply()

    def _found(self, runner, model: nn.Module) -> dict[str, Tensor]:
        """Masks of the weights that are worth most."""
        masks = best_weights(self.scores(runner, model), self.sparsity)
        kept = sum(int(mask.sum()) for mask in masks.values())
        number = sum(mask.numel() for mask in masks.values())
        runner.logger.info(
            f'{type(self).__name__} keeps {kept} of {number} weights in '
            f'{len(masks)} layers.'
        )
        return masks

    def scores(self, runner, model: nn.Module) -> dict[str, Tensor]:
        """What each weight is worth, by trial steps of a copy.

        Args:
            runner (Runner): Whose training images are used.
            model (nn.Module): Without a wrapper.

        Returns:
            dict: Name to a score for each weight, on every rank the same.
        """
        trial = revert_sync_batchnorm(copy.deepcopy(model)).train()
        batches = _batches(runner.train_dataloader, self.steps + 1)
        losses = [_loss_of(trial, batch) for batch in batches]
        scores = meta_gradients(
            prunable_weights(trial), losses, self.lr, self.momentum
        )
        for score in scores.values():
            all_reduce(score)
        return scores

    def after_train_iter(
        self, runner, batch_idx, data_batch=None, outputs=None
    ) -> None:
        """Zero stays zero, whatever momentum and decay did."""
        self._apply()

    @torch.no_grad()
    def _apply(self) -> None:
        for name, mask in self.masks.items():
            self._weights[name].mul_(mask)


def prunable_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """Name to weight of each layer that may be pruned."""
    return {
        f'{name}.weight': module.weight
        for name, module in model.named_modules()
        if isinstance(module, (nn.Conv2d, nn.Linear))
        and 'conv_seg' not in name
        and module.weight.requires_grad
    }


def meta_gradients(
    weights: dict[str, nn.Parameter], losses: list, lr: float, momentum: float
) -> dict[str, Tensor]:
    """How much the last loss depends on each mask, at masks of one.

    Args:
        weights (dict): Name to weight.
        losses (list): Functions of such a dict, one for each step of
            gradient descent and one for the end.
        lr, momentum (float): Of the steps.

    Returns:
        dict: Name to absolute derivatives of the last loss, of the shape of
        the weight.
    """
    current = {k: w.detach().requires_grad_() for k, w in weights.items()}
    masks = {
        k: torch.ones_like(w).requires_grad_() for k, w in weights.items()
    }
    speed = {k: torch.zeros_like(w) for k, w in weights.items()}

    def masked() -> dict[str, Tensor]:
        return {k: masks[k] * w for k, w in current.items()}

    for loss in losses[:-1]:
        slopes = torch.autograd.grad(
            loss(masked()),
            list(current.values()),
            create_graph=True,
            materialize_grads=True,
        )
        for k, slope in zip(masks, slopes):
            speed[k] = momentum * speed[k] + slope
            current[k] = current[k] - lr * speed[k]
    found = torch.autograd.grad(
        losses[-1](masked()), list(masks.values()), materialize_grads=True
    )
    return {k: slope.abs() for k, slope in zip(masks, found)}


def best_weights(
    scores: dict[str, Tensor], sparsity: float
) -> dict[str, Tensor]:
    """Masks, (…) bool, of the best weights of all layers together.

    Exactly the share asked for is dropped, as far as each layer can keep
    its best weight.

    Raises:
        ValueError: If a score is not finite.
    """
    if not all(bool(score.isfinite().all()) for score in scores.values()):
        raise ValueError(
            'The trial steps of ProsPr diverged, so there is nothing to '
            'choose weights by. Set a lower lr of the hook.'
        )
    flat = [score.flatten().clone() for score in scores.values()]
    for score in flat:
        score[score.argmax()] = float('inf')
    values = torch.cat(flat)
    keep = len(values) - round(sparsity * len(values))
    chosen = torch.zeros_like(values, dtype=torch.bool)
    chosen[values.topk(max(keep, len(flat))).indices] = True
    parts = chosen.split([len(score) for score in flat])
    return {k: part.view_as(scores[k]) for k, part in zip(scores, parts)}


def _batches(loader: DataLoader, number: int) -> Iterator[dict]:
    """Training batches; the sampler of the training is left alone."""
    generator = torch.Generator().manual_seed(get_rank())
    total = number * loader.batch_size
    order = torch.randint(len(loader.dataset), (total,), generator=generator)
    for part in order.split(loader.batch_size):
        yield loader.collate_fn([loader.dataset[i] for i in part.tolist()])


def _loss_of(model: nn.Module, batch: dict):
    """The loss of a batch as a function of some weights."""
    data = model.data_preprocessor(batch, True)

    def loss(weights: dict[str, Tensor]) -> Tensor:
        found = functional_call(
            model,
            weights,
            args=(data['inputs'], data['data_samples']),
            kwargs=dict(mode='loss'),
        )
        return model.parse_losses(found)[0]

    return loss
