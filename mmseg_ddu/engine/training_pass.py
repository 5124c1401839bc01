"""The passes over the training images of a fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import islice

from mmengine.dist import all_gather_object, is_main_process
from mmengine.logging import MMLogger
from rich.progress import Progress
from torch import nn
from torch.utils.data import Dataset

from .component_look import LOOK_IMAGES, heads_with_components
from .fitter import DensityFitter
from .fitting_data import (
    MOST_HELD_OUT,
    fitting_loader,
    seeded_order,
    share_of_rank,
)
from .labelled_windows import LabelledImage, labelled_image
from .ranks import together
from .saved_fit import SavedFit
from .stopping import Interrupted, StopRequest

# Images between two exchanges of the processes: few enough that an error on
# one soon ends all, and enough that they seldom wait for each other.
IMAGES_TOGETHER = 8


class TrainingPass:
    """Shows each image of this process to a fitter.

    Args:
        model (DDUMixin): In eval mode.
        fitter (DensityFitter): What looks at the images.
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
        self.dataset, self.num_workers = dataset, num_workers
        self.unreadable: list[dict] = []
        if saved:
            self.unreadable = saved.restore(fitter.sums)
        self.total = len(share_of_rank(len(dataset)))
        self.stop = StopRequest()

    def look(self) -> None:
        """Show a few images first, if a head has several Gaussians a class.

        Unless a state says what was seen then.
        """
        if not heads_with_components(self.model):
            return
        found = all_gather_object(self.fitter.sums.centers)
        centers = next(filter(None, found), None)
        if centers is None:
            order = seeded_order(len(self.dataset), self.fitter.seed)
            self._show(order[:LOOK_IMAGES], self.fitter.look)
            centers = self.fitter.finish_look()
        self.fitter.use_centers(centers)

    def calibrate(self) -> None:
        """Show the held-out images again; a few of all if there are none."""
        images = sorted(self.fitter.held_out)
        if not images:
            order = seeded_order(len(self.dataset), self.fitter.seed)
            images = order[:MOST_HELD_OUT]
        self._show(images, self.fitter.calibrate)
        self.fitter.maps.synchronize()

    def _show(
        self,
        images: Sequence[int],
        see: Callable[[LabelledImage, int], None],
    ) -> None:
        own = [images[place] for place in share_of_rank(len(images))]
        with together():
            loader = fitting_loader(self.dataset, own, self.num_workers)
            for ((index, item, error),) in loader:
                if error is None:
                    see(labelled_image(self.model, item), index)

    def run(self) -> None:
        """Show all images that are left, once, in order.

        Raises:
            RankError: If another process has failed.
            Interrupted: On Ctrl-C or SIGTERM, when the state is written.
        """
        left_out = {row['image'] for row in self.unreadable}
        done = self.fitter.sums.images | left_out
        share = share_of_rank(len(self.dataset))
        rest = [index for index in share if index not in done]
        most = max(all_gather_object(len(rest)))
        batches = iter(fitting_loader(self.dataset, rest, self.num_workers))
        listening = self.stop if self.saved else nullcontext()
        bar = Progress(disable=not is_main_process())
        with listening, bar:
            task = bar.add_task(
                'Fitting densities',
                total=self.total,
                completed=self.total - len(rest),
            )
            for _ in range(0, most, IMAGES_TOGETHER):
                with self._leaving_in_order(), together():
                    for batch in islice(batches, IMAGES_TOGETHER):
                        self._see(*batch[0])
                        self._between_images()
                        bar.advance(task)
                    self._between_images()  # if there was none
        if self.saved:
            self.saved.write(self.fitter.sums, self.unreadable)

    def _see(self, index: int, item: dict | None, error: str | None) -> None:
        if error is not None:
            self.unreadable.append(dict(image=index, error=error))
            MMLogger.get_current_instance().warning(
                f'Training image {index} cannot be read and is left out: '
                f'{error}'
            )
            return
        self.fitter.update(labelled_image(self.model, item), index)

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
