"""Pixels of a plot's observations, fetched ahead, day by day where an asset can't be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from ..cube.array import AHEAD, Look, begin_ahead, begin_pixels
from ..cube.plan import Plan
from ..errors import ReadError
from ..landsat import QA_BAND
from ..project.log import ObservationLog
from .job import Job

QA_BATCH: Final = 256
"""Observations whose QA_PIXEL at the plot is looked at together."""

SPECTRA_BATCH: Final = 18
"""Observations of which all bands at the plot are read together.

Each holds seven blocks of its files until it is worked on, three batches at a time.
"""


def look_at_plot_pixels(
    log: ObservationLog, rows: npt.NDArray[np.bool_], job: Job
) -> dict[int, int]:
    """Settle those of some open observations whose plot pixel is fill or not wanted.

    Reads one block of one asset of each. Returns QA_PIXEL at the plot by the row of the log, of all
    that could be read.
    """
    chosen, found = np.flatnonzero(rows), dict[int, int]()
    pixels = log.plan.select(rows).at_plot_pixel()
    after = pixels.grid if job.products.pixel_only else log.plan.grid
    look, later = (Look.at_chip(grid, (QA_BAND,)) for grid in (pixels.grid, after))

    def begin(part: Plan) -> Callable[[], npt.NDArray[np.uint16]]:
        return begin_pixels(part.records_of_each(), look, job.reading, later=later)

    for part, qa in read_ahead(pixels, pixels.chunks(QA_BATCH), begin):
        if isinstance(qa, ReadError):
            log.fail(chosen[part], qa)
        else:
            items = pixels.observations["item_ids"].iloc[part]
            log.see(chosen[part], qa.ravel(), job.read_from(items))
            found |= zip(chosen[part].tolist(), qa.ravel().tolist(), strict=True)
    return found


Pixels = TypeVar("Pixels")
"""Pixels of a plan in memory."""

Begin = Callable[[Plan], Callable[[], Pixels]]
"""Begins to fetch the pixels of a plan and returns the function that gives them."""


def read_ahead(
    plan: Plan, parts: Iterable[slice], begin: Begin[Pixels], ahead: int = AHEAD
) -> Iterator[tuple[slice, Pixels | ReadError]]:
    """Pixels of the parts of a plan, in order; day by day where an asset can't be read.

    Yields the rows of ``plan.observations`` with their pixels, or with the error of a day. While
    one part is worked on, what is remote is fetched for ``ahead`` more. The work itself is done by
    the caller's thread alone: several would wait for the interpreter's lock more than they compute.
    """
    for part, read in begin_ahead(parts, lambda part: begin(plan.part(part)), ahead):
        yield from _read(plan, part, read, begin)


def _read(
    plan: Plan, part: slice, read: Callable[[], Pixels], begin: Begin[Pixels]
) -> Iterator[tuple[slice, Pixels | ReadError]]:
    """One part for `read_ahead`."""
    try:
        yield part, read()
    except ReadError as error:
        days = plan.part(part).chunks(1)
        if len(days) == 1:
            yield part, error
            return
        for day in (slice(part.start + d.start, part.start + d.stop) for d in days):
            yield from _read(plan, day, begin(plan.part(day)), begin)
