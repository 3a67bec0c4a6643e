"""The lazy cube: a chip's observations as an ``xarray.DataArray`` (time, band, y, x).

This is the only module that knows stackstac. Of stackstac the step is used that makes a dask array
of a table of assets; the table, the grid and the coordinates are made here, exactly, since a chip
of ARD lies on the native grid and nothing is to be guessed, snapped or warped.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .access import Access, Mirrors, access_for
from .catalog import parse_datetime, search_items
from .grid import ChipGrid, get_region
from .items import in_period
from .landsat import BANDS, FILL, OFFSET, PIXEL, QA_BAND, SCALE, TILE_SIZE
from .observations import Plan, merge_records, plan_observations
from .plots import PlotLike, plot_from
from .reader import Asset, NativeReader

CHUNK_BYTES = 32 * 2**20
"""About how much a chunk of a cube holds: 35 observations of 255 x 255 pixels."""


def chips_for_plot(
    plot: PlotLike,
    *,
    source: str | pd.DataFrame = "landsatlook",
    mirror: Mirrors = (),
    region: str = "CU",
    datetime: str | None = None,
    chip_size: tuple[int, int] = (255, 255),
) -> xr.DataArray:
    """The chips of a plot through time, as a lazy cube of raw digital numbers.

    Parameters
    ----------
    plot
        A row of `read_plots`, a `Plot`, or an ``(x, y)`` pair in Albers metres of the region. The
        chip is centred on the pixel that holds it.
    source
        ``"landsatlook"``, the URL of a STAC API, a file of items (FeatureCollection JSON or
        stac-geoparquet), or a table of `search_items`, so that one search serves many plots.
    mirror
        ``"OLD=NEW"`` texts or (OLD, NEW) pairs: assets whose address starts with OLD are read
        below NEW instead, which may be a folder, a bucket or an http address.
    region
        ``"CU"``, ``"AK"`` or ``"HI"``.
    datetime
        ``"START/END"``, either end open; by default everything from 1982 to now.
    chip_size
        Width and height in pixels. Of an even size the plot is pixel ``size // 2``.

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
    grid_region = get_region(region)
    place = plot_from(plot, grid_region)
    grid = ChipGrid.around(grid_region, place.x, place.y, chip_size)
    access = access_for(source, mirror)
    if isinstance(source, pd.DataFrame):
        items = in_period(source, parse_datetime(datetime))
    else:
        items = search_items(grid.tiles, source=source, region=region, datetime=datetime)
    plan = plan_observations(items, grid)
    access.check_mirrors(plan.records[QA_BAND])
    return build_cube(plan, access)


def build_cube(plan: Plan, access: Access, bands: Sequence[str] = BANDS) -> xr.DataArray:
    """The lazy cube of a plan; see `chips_for_plot` for its dims and coordinates."""
    grid = plan.grid
    per_chunk = max(1, CHUNK_BYTES // (2 * len(bands) * grid.width * grid.height))
    chunks = plan.chunks(min(per_chunk, 256))
    cube = xr.DataArray(
        _merged(plan, chunks, _records(plan, chunks, access, bands), bands),
        dims=("time", "band", "y", "x"),
        coords={
            "time": plan.observations["time"].to_numpy("datetime64[ns]"),
            "band": np.array(bands, dtype=object),
            "y": grid.y,
            "x": grid.x,
            **{
                name: ("time", plan.observations[name].to_numpy(dtype=object))
                for name in ("sensor", "hv", "item_id", "item_ids", "date")
            },
        },
        name="digital_number",
        attrs={
            "long_name": "Landsat Collection 2 U.S. ARD digital number",
            "units": "1",
            "reflectance": f"{SCALE:.7f} x digital number {OFFSET:+g}; {FILL} is fill",
            "region": grid.region.name,
            "plot_x": float(grid.x[grid.plot_index[1]]),
            "plot_y": float(grid.y[grid.plot_index[0]]),
        },
    )
    return _with_crs(cube, grid)


def _records(plan: Plan, chunks: list[slice], access: Access, bands: Sequence[str]) -> Any:
    """Dask array (record, band, y, x), chunked along record so that no observation is parted."""
    import dask.array as da
    from stackstac.raster_spec import RasterSpec
    from stackstac.to_dask import items_to_dask

    shape = (len(plan.records), len(bands), plan.grid.height, plan.grid.width)
    if not shape[0]:
        return da.empty(shape, chunks=shape, dtype=np.uint16)
    left, bottom, right, top = plan.grid.bounds
    return items_to_dask(
        _asset_table(plan.records, bands),
        RasterSpec(epsg=0, bounds=(left, bottom, right, top), resolutions_xy=(PIXEL, PIXEL)),
        chunksize=(_record_counts(plan, chunks), len(bands), *shape[2:]),
        dtype=np.dtype(np.uint16),
        fill_value=np.uint16(FILL),
        rescale=False,
        reader=partial(NativeReader, access=access),
    )


def _asset_table(records: pd.DataFrame, bands: Sequence[str]) -> np.ndarray[Any, Any]:
    """stackstac's table of assets: what to read, and the outer edges of its tile."""
    table = np.empty(
        (len(records), len(bands)),
        dtype=[("url", object), ("bounds", np.float64, 4), ("scale_offset", np.float64, 2)],
    )
    edge = TILE_SIZE * PIXEL
    for row, record in enumerate(records.to_dict("records")):
        left, top = record["left"], record["top"]
        table["bounds"][row] = (left, top - edge, left + edge, top)
        for column, band in enumerate(bands):
            table["url"][row, column] = Asset(record["item_id"], band, record[band], left, top)
    table["scale_offset"] = (1, 0)
    return table


def _record_counts(plan: Plan, chunks: list[slice]) -> tuple[int, ...]:
    starts = plan.records["observation"].searchsorted([c.start for c in chunks])
    return tuple(np.diff([*starts, len(plan.records)]).tolist())


def _merged(plan: Plan, chunks: list[slice], records: Any, bands: Sequence[str]) -> Any:
    """Observations of records; the records themselves where none needs merging."""
    if len(plan.records) == len(plan.observations):
        return records
    import dask.array as da

    starts = np.flatnonzero(np.r_[True, np.diff(plan.records["observation"]) != 0])
    sizes = tuple(c.stop - c.start for c in chunks)
    first = np.repeat(np.cumsum([0, *_record_counts(plan, chunks)[:-1]]), sizes)
    return da.map_blocks(
        partial(_merge_block, qa=list(bands).index(QA_BAND)),
        records,
        da.from_array((starts - first).reshape(-1, 1, 1, 1), chunks=(sizes, 1, 1, 1)),
        chunks=(sizes, *records.chunks[1:]),
        dtype=np.uint16,
        meta=np.empty((0,) * 4, dtype=np.uint16),
    )


def _merge_block(records: Any, starts: Any, qa: int) -> Any:
    return merge_records(records, starts.ravel(), qa)


def _with_crs(cube: xr.DataArray, grid: ChipGrid) -> xr.DataArray:
    """Name the CRS as rioxarray does, but so that it also survives Zarr as a coordinate."""
    located = cube.assign_coords(spatial_ref=_spatial_ref(grid.region.wkt))
    return located.assign_attrs(grid_mapping="spatial_ref")


@cache
def _spatial_ref(wkt: str) -> xr.DataArray:
    import rioxarray  # noqa: F401 - registers the .rio accessor

    coordinate: xr.DataArray = xr.DataArray(0).rio.write_crs(wkt)["spatial_ref"]
    return coordinate
