"""The lazy cube in dask's chunks, without giving up that a selection reads what it holds."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import dask.array as da
import numpy as np
import xarray as xr

from .schema import CHUNK


class LazyChips(da.Array):
    """A dask array (time first) of which any chain of selections reads what it holds, and no more.

    dask joins only one selection with the read below it: of ``cube.isel(time=3).sel(band="red")``
    it would read all bands. So a selection by whole numbers, slices and at most one list is made on
    the lazy array that the chunks come from, and put into chunks anew. All else is left to dask,
    and what comes of it is an ordinary dask array, as is a copy by pickle.
    """

    _source: xr.Variable
    _made: str
    _chunk: int

    def __new__(cls, source: xr.Variable, chunk: int = CHUNK) -> LazyChips:
        """``source`` is not in memory; ``chunk`` is observations in a chunk."""
        along = {"time": chunk} if "time" in source.dims else {}
        array = source.chunk(along, name=f"chips-{uuid4().hex}").data
        made: LazyChips = super().__new__(  # type: ignore[no-untyped-call]
            cls, array.dask, array.name, array.chunks, dtype=array.dtype, meta=array._meta
        )
        made._source, made._made, made._chunk = source, array.name, chunk
        return made

    def __getitem__(self, index: Any) -> Any:
        key = index if isinstance(index, tuple) else (index,)
        if self.name != self._made or not _is_plain(key):  # another name: it was changed in place
            return super().__getitem__(index)  # type: ignore[no-untyped-call]
        return LazyChips(self._source[key], self._chunk)


def _is_plain(key: tuple[Any, ...]) -> bool:
    """Whether a key is whole numbers and slices, and at most one list of whole numbers."""
    lists = [k for k in key if not isinstance(k, int | np.integer | slice) or isinstance(k, bool)]
    return len(lists) < 2 and all(
        isinstance(k, list | np.ndarray) and np.ndim(k) == 1 and np.asarray(k).dtype.kind in "iu"
        for k in lists
    )
