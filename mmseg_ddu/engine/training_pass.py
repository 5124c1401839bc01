"""The passes over the training images of a fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice

from mmengine.dist import all_gather_object, is_main_process
from mmengine.logging import MMLogger
from rich.progress import Progress
from torch.utils.data import Dataset

from .fit_sums import FitSums
from .fitter import LOOK_IMAGES, DensityFitter
from .fitting_data import (
    MOST_HELD_OUT,
    fitting_loader,
    seeded_order,
    share_of_rank,
)
from .labelled_windows import LabelledImage, labelled_image
from .ranks import together
from .saved_fit import SavedFit
from .stopping import Interrupted

# Images between two exchanges of the processes: few enough that an error on
# one soon ends all, and enough that they seldom wait for each other.
IMAGES_TOGETHER = 8


class TrainingPass:
    """Shows each image of this process to a fitter.

    Args:
        fitter (DensityFitter): What looks at the images.
        dataset: Items as mmseg's, with ``gt_sem_seg``.
        num_workers (int): Of the loader.
        saved (SavedFit, optional): Where the state is kept; the images that
            it has seen are not shown again.
    """

    def __init__(
        self,
        fitter: DensityFitter,
        dataset: Dataset,
        num_workers: int = 0,
        saved: SavedFit | None = None,
    ) -> None:
        self.fitter, self.saved = fitter, saved
        self.dataset, self.num_workers = dataset, num_workers
        if saved:
            saved.restore(fitter.sums)

    def look(self) -> None:
        """Show a few images first, if a head has several Gaussians a class.

        Unless a state says what was seen then.
        """
        fitter = self.fitter
        if not fitter.several:
            return
        found = all_gather_object(fitter.sums.centers)
        centers = next(filter(None, found), None)
        if centers is None:
            order = seeded_order(len(self.dataset), fitter.seed)
            self._show(order[:LOOK_IMAGES], fitter.look)
            centers = fitter.find_centers()
        fitter.use_centers(centers)

    def run(self) -> None:
        """Show all images that are left and not held out, once, in order.

        Raises:
            RankError: If another process has failed.
            Interrupted: On Ctrl-C or SIGTERM, when the state is written.
        """
        held, sums = self.fitter.held_out, self.fitter.sums
        others = [i for i in range(len(self.dataset)) if i not in held]
        show = partial(
            self._show, others, self.fitter.update, sums, 'Fitting densities'
        )
        if not self.saved:
            show()
            return
        keep = partial(self.saved.keep, sums)
        with self.saved.stop:  # while the state is written, too
            try:
                show(keep)
                with together():
                    keep()
            except Interrupted:  # this process, or another
                self.saved.write(sums)
                raise Interrupted(
                    f'Stopped with {self.saved.images} of '
                    f'{len(share_of_rank(others))} images saved. '
                    'The same command with --resume goes on from there.'
                ) from None
        self.saved.write(sums)

    def run_held_out(self) -> None:
        """Show those that are held out, once; no state is kept of it."""
        held, update = sorted(self.fitter.held_out), self.fitter.update
        self._show(held, update, self.fitter.held, 'Percentiles')

    def calibrate(self) -> None:
        """Show the maps of a few of all images that were seen."""
        seen = sorted(self.fitter.sums.images)
        order = seeded_order(len(seen), self.fitter.seed)[:MOST_HELD_OUT]
        self._show([seen[place] for place in order], self.fitter.maps.see)
        self.fitter.maps.synchronize()

    def _show(
        self,
        images: Sequence[int],
        see: Callable[[LabelledImage, int], None],
        sums: FitSums | None = None,
        text: str = '',
        keep: Callable[[], None] = lambda: None,
    ) -> None:
        """Show the share of this process of some images to a function.

        With sums, those done there are not shown again, and those that
        cannot be read are told and noted there, else skipped.
        """
        share = share_of_rank(images)
        done = sums.done if sums else set()
        own = [index for index in share if index not in done]
        batches = iter(fitting_loader(self.dataset, own, self.num_workers))
        bar = Progress(disable=not text or not is_main_process())
        before = len(share) - len(own)
        task = bar.add_task(text, total=len(share), completed=before)
        most = max(all_gather_object(len(own)))
        with bar:
            for _ in range(0, most, IMAGES_TOGETHER):
                with together():
                    for batch in islice(batches, IMAGES_TOGETHER):
                        index, item, error = batch[0]
                        if error is None:
                            see(labelled_image(self.fitter.model, item), index)
                        elif sums:
                            sums.unreadable.append(
                                dict(image=index, error=error)
                            )
                            MMLogger.get_current_instance().warning(
                                f'Training image {index} cannot be read and '
                                f'is left out: {error}'
                            )
                        bar.advance(task)
                        keep()
                    keep()  # if there was none
