"""The pass over the training images of a fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice

from mmengine.dist import all_gather_object, is_main_process
from mmengine.logging import MMLogger
from rich.progress import Progress
from torch import nn
from torch.utils.data import Dataset

from mmseg_ddu.core.sampling import PixelReservoir

from .fitter import DensityFitter
from .fitting_data import fitting_loader, seeded_order, share_of_rank
from .labelled_windows import labelled_image
from .ranks import together
from .saved_fit import SavedFit
from .stopping import Interrupted, StopRequest

# Images between two exchanges of the processes: few enough that an error on
# one soon ends all, and enough that they seldom wait for each other.
IMAGES_TOGETHER = 8
LOOK_IMAGES = 64


class TrainingPass:
    """Shows each image of this process to a fitter, once, in order.

    Args:
        model (DDUMixin): In eval mode.
        fitter (DensityFitter): What looks at the features.
        dataset: Items as mmseg's, with ``gt_sem_seg``.
        num_workers (int): Of the loader.
        saved (SavedFit, optional): Where the state is kept; the images that
            it has seen are not shown again.

    Attributes:
        unreadable (list[dict]): ``image`` and ``error`` of those left out.
    """

    def __init__(
        self,
        model: nn.Module,
        fitter: DensityFitter,
        dataset: Dataset,
        num_workers: int = 0,
        saved: SavedFit | None = None,
    ) -> None:
        self.model, self.fitter, self.saved = model, fitter, saved
        self.dataset = dataset
        self.unreadable: list[dict] = []
        if saved:
            self.unreadable = saved.restore(fitter.sums)
        left_out = {row['image'] for row in self.unreadable}
        done = fitter.sums.images | left_out
        share = share_of_rank(len(dataset))
        self.total = len(share)
        rest = [index for index in share if index not in done]
        self.loader = fitting_loader(dataset, rest, num_workers)
        self.stop = StopRequest()

    def run(self) -> None:
        """Look at all images that are left.

        Raises:
            RankError: If another process has failed.
            Interrupted: On Ctrl-C or SIGTERM, when the state is written.
        """
        most = max(all_gather_object(len(self.loader)))
        listening = self.stop if self.saved else nullcontext()
        bar = Progress(disable=not is_main_process())
        with listening, bar:
            task = bar.add_task(
                'Fitting densities',
                total=self.total,
                completed=self.total - len(self.loader),
            )
            batches = iter(self.loader)
            for _ in range(0, most, IMAGES_TOGETHER):
                with self._leaving_in_order(), together():
                    for batch in islice(batches, IMAGES_TOGETHER):
                        self._see(*batch[0])
                        self._between_images()
                        bar.advance(task)
                    self._between_images()  # if there was none

    def look(self) -> None:
        """Show a few images first, if a head has several Gaussians a class."""
        if not self.fitter.mixtures:
            return
        chosen = seeded_order(len(self.dataset), self.fitter.seed)
        chosen = chosen[:LOOK_IMAGES]
        own = [chosen[place] for place in share_of_rank(len(chosen))]
        with together():
            for batch in fitting_loader(self.dataset, own):
                index, item, error = batch[0]
                if error is None:
                    image = labelled_image(self.model, item)
                    for number, window in enumerate(image.windows(self.model)):
                        self.fitter.look(
                            window.features, window.labels, index, number
                        )
        looked: dict[int, PixelReservoir] = {}
        for part in all_gather_object(self.fitter.looked):
            for key, reservoir in part.items():
                kept = looked.setdefault(key, PixelReservoir(reservoir.size))
                kept.merge(reservoir)
        self.fitter.finish_look(looked)

    def _see(self, index: int, item: dict | None, error: str | None) -> None:
        if error is not None:
            self.unreadable.append(dict(image=index, error=error))
            MMLogger.get_current_instance().warning(
                f'Training image {index} cannot be read and is left out: '
                f'{error}'
            )
            return
        image = labelled_image(self.model, item)
        self.fitter.add_image(image.image, index)
        for number, window in enumerate(image.windows(self.model)):
            self.fitter.update(window.features, window.labels, index, number)

    def _between_images(self) -> None:
        if not self.saved:
            return
        if self.stop.made:
            # First of all: the launcher may not have the patience to let
            # the others answer.
            self.saved.write(self.fitter.sums, self.unreadable)
            raise Interrupted
        self.saved.write_if_due(self.fitter.sums, self.unreadable)

    @contextmanager
    def _leaving_in_order(self) -> Iterator[None]:
        try:
            yield
        except Interrupted:  # this process, or another
            self.saved.write(self.fitter.sums, self.unreadable)
            raise Interrupted(
                f'Stopped with {self.saved.images} of {self.total} images '
                'saved. The same command with --resume goes on from there.'
            ) from None
