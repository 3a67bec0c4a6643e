"""The pixels of a plan put together by stackstac: a second way to the same cube.

This is the only module that knows stackstac, which needs the extra ``stackstac``. Its public
`stackstac.stack` is told the chip's own pixels, so that it snaps, scales and warps nothing, and a
reader that reads them as the package itself does. What it stacks is a step for each record; they
are grouped to observations and merged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from ..errors import InputError
from ..landsat import BANDS, FILL, PIXEL, QA_BAND
from ..raster.reader import Asset, Reading, begin_read
from .array import Look, asset_of
from .plan import Plan, merge_records
from .schema import DIMS

_EPSG = 1
"""What stands for the CRS: stackstac needs a code, and takes any that all items share."""


def stack_pixels(plan: Plan, reading: Reading, chunk: int) -> xr.Variable:
    """The pixels (time, band, y, x) of a plan, dask-backed, ``chunk`` records in a chunk.

    `InputError` where stackstac is not installed.
    """
    import dask.array as da

    look = Look.at_chip(plan.grid)
    if plan.records.empty:
        return xr.Variable(DIMS, da.from_array(look.empty(0), chunks=-1))
    records = _stack(plan, look, reading, chunk)
    if len(plan.records) > len(plan.observations):
        records = records.groupby("time").map(_merge)
    return records.variable.transpose(*DIMS)


def _stack(plan: Plan, look: Look, reading: Reading, chunk: int) -> xr.DataArray:
    """All records (time, band, y, x); ``time`` is the number of the observation."""
    records = [record for of_one in plan.records_of_each() for record in of_one]
    assets = [asset_of(record, band) for record in records for band in BANDS]
    stacked: xr.DataArray = _stackstac().stack(
        [_item(record, plan) for record in records],
        assets=list(BANDS),
        epsg=_EPSG,
        resolution=PIXEL,
        bounds=plan.grid.bounds,
        snap_bounds=False,
        chunksize=(chunk, *look.shape),
        dtype=np.dtype(np.uint16),
        fill_value=np.uint16(FILL),
        rescale=False,
        sortby_date=False,
        xy_coords=False,
        properties=False,
        band_coords=False,
        reader=partial(AssetReader, assets={str(a): a for a in assets}, look=look, reading=reading),
    )
    return stacked.assign_coords(time=plan.records["observation"].to_numpy())


def _stackstac() -> Any:
    try:
        import stackstac
    except ImportError:
        raise InputError(
            "the engine stackstac is not installed: pip install stackstac==0.5.1 'pandas<3'"
        ) from None
    return stackstac


def _item(record: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """A plain STAC item; the addresses of its assets are their names, which the reader knows."""
    return {
        "id": record["item_id"],
        "properties": {
            "datetime": "2000-01-01T00:00:00Z",  # they are grouped by observation, not by this
            "proj:epsg": _EPSG,
            "proj:bbox": plan.grid.bounds,
        },
        "assets": {band: {"href": str(asset_of(record, band))} for band in BANDS},
    }


def _merge(records: xr.DataArray) -> xr.DataArray:
    """One observation of its records."""
    merged: xr.DataArray = xr.apply_ufunc(
        lambda images: merge_records(images, [0], BANDS.index(QA_BAND))[0],
        records.chunk(time=-1, band=-1),
        input_core_dims=[DIMS],
        output_core_dims=[DIMS[1:]],
        dask="parallelized",
        output_dtypes=[np.uint16],
    )
    return merged


class AssetReader:
    """Reads an asset for stackstac, as its `stackstac.reader_protocol.Reader` demands.

    stackstac makes all readers of a chunk before it reads the first, so each begins to fetch when
    it is made.
    """

    def __init__(
        self,
        *,
        url: str,
        assets: Mapping[str, Asset],
        look: Look,
        reading: Reading,
        **_told: object,
    ) -> None:
        self._told = assets[url], look, reading
        self._begin()

    def _begin(self) -> None:
        asset, look, reading = self._told
        grid = asset.grid or look.lattice.name
        footing = look.footing({"grid": grid, "left": asset.left, "top": asset.top})
        self._read_into = begin_read(asset, footing, reading)

    def read(self, _window: object) -> Any:
        """The asset's pixels of the whole chip, which is what a chunk holds."""
        asset, look, _ = self._told
        image = replace(look, bands=(asset.band,)).empty(1)[0, 0]
        self._read_into(image)
        return image

    def close(self) -> None:
        """Nothing is open between reads."""

    def __getstate__(self) -> tuple[Asset, Look, Reading]:
        return self._told

    def __setstate__(self, state: tuple[Asset, Look, Reading]) -> None:
        self._told = state
        self._begin()
