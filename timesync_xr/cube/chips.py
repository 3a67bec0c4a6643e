"""The lazy cube: a chip's observations as an ``xarray.DataArray`` (time, band, y, x).

This is the only module that knows stackstac. Of stackstac the step is used that makes a dask array
of a table of assets; the table, the grid and the coordinates are made here, exactly, since a chip
of ARD lies on the native grid and nothing is to be guessed, snapped or warped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from ..catalog.archive import Archive
from ..catalog.dates import DatetimeRange
from ..catalog.search import search_items
from ..grid import ChipGrid, ChipSize, Lattice
from ..landsat import BANDS, FILL, OFFSET, PIXEL, QA_BAND, SCALE
from ..plots import PlotLike, plot_from
from ..raster.reader import Asset, RecordReader
from ..storage.access import Access
from .plan import Plan, merge_records, plan_observations

CHUNK_BYTES = 32 * 2**20
"""About how much a chunk of a cube holds: 35 observations of 255 x 255 pixels."""


def chips_for_plot(
    plot: PlotLike,
    archive: Archive | None = None,
    *,
    grid: str | Lattice = "CU",
    datetime: str | int | DatetimeRange | None = None,
    chip_size: ChipSize = (255, 255),
) -> xr.DataArray:
    """The chips of a plot through time, as a lazy cube of raw digital numbers.

    Parameters
    ----------
    plot
        A row of `read_plots`, a `Plot`, or an ``(x, y)`` pair in metres of the grid. The chip is
        centred on the pixel that holds it.
    archive
        Where observations come from; landsatlook by default.
    grid
        ``"CU"``, ``"AK"`` or ``"HI"``.
    datetime
        ``"START/END"``, either end open, or one year, month or day; by default everything from
        1982 to now.
    chip_size
        Width and height in pixels, or one number for both. Of an even size the plot is pixel
        ``size // 2``.

    Returns
    -------
    xarray.DataArray
        dims ``(time, band, y, x)``, dtype uint16, dask-backed: digital numbers of Collection 2
        surface reflectance (fill 0) and QA_PIXEL (fill bit 0) in the order of
        `timesync_xr.landsat.BANDS`. One step per observation (platform and date) in time order,
        those included whose plot pixel is fill. ``x`` and ``y`` are pixel centres in metres, y
        descending, the plot in the middle. Along time: ``sensor``, ``hv``, ``item_id``,
        ``item_ids`` and ``date``. The attributes ``plot_x`` and ``plot_y`` are the plot pixel's
        centre. The CRS is in ``spatial_ref``, as rioxarray reads and writes it.
        The search is done at once; no file is opened before ``compute``.

    Raises
    ------
    InputError, CatalogError
        At once, for what is wrong with the arguments or the search.
    ReadError, AccessError
        At ``compute``, for an asset that can't be read.
    """
    archive = archive or Archive()
    lattice = archive.what.grid(grid)
    place = plot_from(plot, lattice)
    chip = ChipGrid.around(lattice, place.x, place.y, chip_size)
    places = archive.what.places(chip)
    items = search_items(places, archive, grid=lattice, datetime=datetime)
    plan = plan_observations(items, chip, archive.what)
    archive.access.check_mirrors(plan.records[QA_BAND])
    return build_cube(plan, archive.access)


def build_cube(plan: Plan, access: Access) -> xr.DataArray:
    """The lazy cube of a plan; see `chips_for_plot` for its dims and coordinates."""
    grid = plan.grid
    per_chunk = max(1, CHUNK_BYTES // (2 * len(BANDS) * grid.width * grid.height))
    chunks = plan.chunks(min(per_chunk, 256))
    return _labelled(plan, _merged(plan, chunks, access))


def begin_cube(plan: Plan, access: Access) -> Callable[[], xr.DataArray]:
    """Begin to fetch what is remote; return the function that gives the cube in memory.

    It does at once, in the thread that calls it, what `build_cube` has dask do.
    """
    read = begin_pixels(plan, access, BANDS)
    return lambda: _labelled(plan, read())


def begin_pixels(
    plan: Plan, access: Access, bands: Sequence[str], later: ChipGrid | None = None
) -> Callable[[], npt.NDArray[np.uint16]]:
    """As `begin_cube`, for the bare pixels (observation, band, y, x) of some bands.

    ``later`` is the chip that will be read of most of the observations, see `RecordReader`.
    """
    spec = _image_spec(plan.grid, bands)
    after = None if later is None else _image_spec(later, bands)
    readers = [
        RecordReader(url=assets, spec=spec, access=access, later=after)
        for assets in _assets(plan.records, bands)
    ]

    def read() -> npt.NDArray[np.uint16]:
        images = np.empty((len(readers), 1, *spec.shape), _DTYPE)
        for reader, (image,) in zip(readers, images, strict=True):
            reader.read_into(image)
        return _merge_images(images, _first_records(plan), bands)

    return read


_DTYPE = np.dtype(np.uint16)
_FILL = np.uint16(FILL)


def _labelled(plan: Plan, data: Any) -> xr.DataArray:
    """Pixels (observation, band, y, x) with their coordinates and attributes."""
    grid = plan.grid
    return xr.DataArray(
        data,
        dims=("time", "band", "y", "x"),
        coords={
            "time": plan.observations["time"].to_numpy("datetime64[ns]"),
            "band": np.array(BANDS, dtype=object),
            "y": grid.y,
            "x": grid.x,
            **{
                name: ("time", plan.observations[name].to_numpy(dtype=object))
                for name in ("sensor", "hv", "item_id", "item_ids", "date")
            },
            "spatial_ref": _spatial_ref(grid.lattice.wkt),
        },
        name="digital_number",
        attrs={
            "long_name": "Landsat Collection 2 U.S. ARD digital number",
            "units": "1",
            "reflectance": f"{SCALE:.7f} x digital number {OFFSET:+g}; {FILL} is fill",
            "region": grid.lattice.name,
            "plot_x": float(grid.x[grid.plot_index[1]]),
            "plot_y": float(grid.y[grid.plot_index[0]]),
            "grid_mapping": "spatial_ref",
        },
    )


def _images(plan: Plan, chunks: list[slice], access: Access) -> Any:
    """Dask array (record, 1, row, column): each record an image, its bands one below the other.

    It is chunked along the records so that no observation is parted.
    """
    from stackstac.to_dask import items_to_dask

    spec = _image_spec(plan.grid, BANDS)
    return items_to_dask(
        _asset_table(plan.records, spec),
        spec,
        chunksize=(_record_counts(plan, chunks), 1, *spec.shape),
        dtype=_DTYPE,
        fill_value=_FILL,
        rescale=False,
        reader=partial(RecordReader, access=access),
    )


def _image_spec(grid: ChipGrid, bands: Sequence[str]) -> Any:
    """stackstac's grid of a record's image."""
    from stackstac.raster_spec import RasterSpec

    left, _, right, top = grid.bounds
    bottom = top - len(bands) * grid.height * PIXEL
    return RasterSpec(epsg=0, bounds=(left, bottom, right, top), resolutions_xy=(PIXEL, PIXEL))


def _assets(records: pd.DataFrame, bands: Sequence[str]) -> list[tuple[Asset, ...]]:
    """The assets of each record."""
    placed = ("left", "top", "width", "height")
    return [
        tuple(Asset(r["item_id"], band, r[band], *(r[name] for name in placed)) for band in bands)
        for r in records.to_dict("records")
    ]


def _asset_table(records: pd.DataFrame, spec: Any) -> np.ndarray[Any, Any]:
    """stackstac's table (record, 1): all assets of a record at once. They all touch the chip."""
    table = np.empty(
        (len(records), 1),
        dtype=[("url", object), ("bounds", np.float64, 4), ("scale_offset", np.float64, 2)],
    )
    for row, assets in enumerate(_assets(records, BANDS)):
        table["url"][row, 0] = assets
    table["bounds"], table["scale_offset"] = spec.bounds, (1, 0)
    return table


def _first_records(plan: Plan) -> npt.NDArray[np.intp]:
    """The first record of each observation."""
    return plan.records["observation"].searchsorted(np.arange(len(plan.observations)))


def _record_counts(plan: Plan, chunks: list[slice]) -> tuple[int, ...]:
    starts = plan.records["observation"].searchsorted([c.start for c in chunks])
    return tuple(np.diff([*starts, len(plan.records)]).tolist())


def _merged(plan: Plan, chunks: list[slice], access: Access) -> Any:
    """Dask array (observation, band, y, x) of the merged records."""
    import dask.array as da

    shape = len(BANDS), plan.grid.height, plan.grid.width
    if not chunks:
        return da.empty((0, *shape), chunks=(0, *shape), dtype=_DTYPE)
    starts = _first_records(plan)
    sizes = tuple(c.stop - c.start for c in chunks)
    first = np.repeat(np.cumsum([0, *_record_counts(plan, chunks)[:-1]]), sizes)
    return da.map_blocks(
        partial(_merge_images, bands=BANDS),
        _images(plan, chunks, access),
        da.from_array((starts - first).reshape(-1, 1, 1, 1), chunks=(sizes, 1, 1, 1)),
        chunks=(sizes, *shape),
        dtype=_DTYPE,
        meta=np.empty((0,) * 4, dtype=_DTYPE),
    )


def _merge_images(images: Any, starts: Any, bands: Sequence[str]) -> npt.NDArray[np.uint16]:
    """Observations (observation, band, y, x) of the images of their records."""
    count, _, rows, columns = images.shape
    records = images.reshape(count, len(bands), rows // len(bands), columns)
    if starts.size == count:
        return records  # type: ignore[no-any-return]
    return merge_records(records, starts.ravel(), list(bands).index(QA_BAND))


@cache
def _spatial_ref(wkt: str) -> xr.DataArray:
    """The CRS as rioxarray names it; as a coordinate it also survives Zarr."""
    import rioxarray  # noqa: F401 - registers the .rio accessor

    coordinate: xr.DataArray = xr.DataArray(0).rio.write_crs(wkt)["spatial_ref"]
    return coordinate
