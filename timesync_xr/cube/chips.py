"""The cube of a plot: an ``xarray.DataArray`` (time, band, y, x), lazy or in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import xarray as xr
from xarray.core import indexing

from ..catalog.archive import Archive, as_archive
from ..catalog.dates import Datetime
from ..catalog.search import search_items
from ..errors import InputError, check_choice
from ..grid import ChipGrid, ChipSize, Lattice
from ..landsat import QA_BAND
from ..plots import PlotLike, plot_from
from ..raster.reader import Reading
from .array import Errors, Look, PlanArray, begin_pixels
from .plan import Plan, plan_observations
from .schema import CHUNK, DIMS, describe
from .selection import Selection

Engine = Literal["timesync_xr", "stackstac"]
"""What assembles a lazy cube."""


def chips_for_plot(
    plot: PlotLike,
    archive: Archive | None = None,
    *,
    grid: str | Lattice | None = None,
    datetime: Datetime = None,
    chip_size: ChipSize = (255, 255),
    chunks: int | None = CHUNK,
    errors: Errors = "raise",
    engine: Engine = "timesync_xr",
) -> xr.DataArray:
    """The chips of a plot through time, as a lazy cube of raw digital numbers.

    Parameters
    ----------
    plot
        A row of `read_plots`, a `Plot`, or an ``(x, y)`` pair in metres of the grid; on the grid
        ``"utm"`` a ``(lon, lat)`` pair in degrees. The chip is centred on the pixel that holds it.
    archive
        Where observations come from; landsatlook by default.
    grid
        ``"CU"``, ``"AK"`` or ``"HI"`` of ARD; for scenes these, ``"utm"`` (the plot's zone, on
        which nothing is resampled), or a projected CRS in metres like ``"EPSG:3035"``. By default
        CU for ARD and utm for scenes.
    datetime
        ``"START/END"``, either end open, or one year, month or day; by default everything from
        1982 to now.
    chip_size
        Width and height in pixels, or one number for both. Of an even size the plot is pixel
        ``size // 2``.
    chunks
        Observations in a chunk of dask's. None for a lazy cube without dask, which reads when its
        values are asked for.
    errors
        ``"raise"`` for an error where an asset can't be read. ``"skip"`` to go on: what is read of
        that observation is fill (0, in QA_PIXEL 1), and a `ReadWarning` names asset and cause.
    engine
        ``"stackstac"`` has stackstac put the same cube together, at more cost (the extra
        ``stackstac``).

    Returns
    -------
    xarray.DataArray
        dims ``(time, band, y, x)``, dtype uint16: digital numbers of Collection 2 surface
        reflectance (fill 0) and QA_PIXEL (fill bit 0) in the order of `timesync_xr.landsat.BANDS`.
        One step per observation (platform and date) in time order, those included whose plot pixel
        is fill; of scenes those of Tier 1. ``x`` and ``y`` are pixel centres in metres, y
        descending, the plot in the middle.
        Along time: ``sensor``, ``hv``, ``item_id``, ``item_ids``, ``date`` and ``processed``. Its
        attributes are told in `timesync_xr.cube.schema`. The CRS is in ``spatial_ref``, as
        rioxarray reads and writes it.
        The search is done at once; no file is opened before ``compute``. A selection reads the
        observations, bands and blocks that it holds, however many selections it is made by.

    Raises
    ------
    InputError, CatalogError
        At once, for what is wrong with the arguments or the search.
    ReadError, AccessError
        At ``compute``, for an asset that can't be read.

    Examples
    --------
    ::

        cube = tx.chips_for_plot(plot, archive, datetime="1996", chip_size=65)
        cube.isel(time=0).sel(band="nir08").plot.imshow()  # reads one file

        place = {"lon": -90.5146, "lat": 44.5928}
        tx.chips_for_plot(place, archive, datetime="1996-08")
    """
    _check(errors, engine, chunks)
    archive = as_archive(archive)
    lattice = archive.what.grid(archive.what.first_grid if grid is None else grid)
    place = plot_from(plot, lattice)
    chip = ChipGrid.around(lattice, place.x, place.y, chip_size)
    places = archive.what.places(chip)
    items = search_items(places, archive, grid=lattice, datetime=datetime)
    plan = plan_observations(items, chip, archive.what)
    if archive.what.has_scenes:
        plan = plan.select(Selection().causes(plan.observations) == "")
    archive.access.check_mirrors(plan.records[QA_BAND])
    reading = archive.reading
    if engine == "stackstac":
        from .stackstac import stack_pixels

        pixels = stack_pixels(plan, reading, chunks or CHUNK)
    else:
        pixels = lazy_pixels(plan, reading, errors, chunks)
    return describe(pixels, plan, (place.project_id, place.plot_id), archive.name)


def _check(errors: object, engine: object, chunks: object) -> None:
    check_choice(errors, ("raise", "skip"), "choice of errors")
    check_choice(engine, ("timesync_xr", "stackstac"), "engine")
    if engine == "stackstac" and (errors == "skip" or chunks is None):
        raise InputError("the engine stackstac has dask's chunks and skips nothing: leave it out")
    if chunks is not None and not (isinstance(chunks, int | np.integer) and 1 <= chunks < 2**31):
        raise InputError(f"chunks of {chunks!r} observations can't be: give 1 or more, or None")


def lazy_pixels(
    plan: Plan, reading: Reading, errors: Errors = "raise", chunks: int | None = CHUNK
) -> xr.Variable:
    """The pixels (time, band, y, x) of a plan, of which a selection reads what it holds."""
    source = xr.Variable(DIMS, indexing.LazilyIndexedArray(PlanArray(plan, reading, errors)))
    if chunks is None:
        return source
    from .chunked import LazyChips  # here, since dask takes long to import

    return xr.Variable(DIMS, LazyChips(source, chunks))


def begin_cube(
    plan: Plan, reading: Reading, later: ChipGrid | None = None
) -> Callable[[], xr.DataArray]:
    """Begin to fetch what is remote; return the function that gives the cube in memory.

    It is to be called once, and raises as `begin_pixels`. ``later`` is the chip of which most
    observations will be read then.
    """
    after = None if later is None else Look.at_chip(later)
    read = begin_pixels(plan.records_of_each(), Look.at_chip(plan.grid), reading, later=after)
    return lambda: describe(xr.Variable(DIMS, read()), plan)
