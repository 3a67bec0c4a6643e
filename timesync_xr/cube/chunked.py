"""The lazy cube in dask's chunks, without giving up that a selection reads what it holds."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from operator import getitem
from typing import Any
from uuid import uuid4

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.highlevelgraph import HighLevelGraph, Layer, MaterializedLayer


class LazyChips(da.Array):
    """A dask array of which any chain of selections reads what it holds, and no more.

    dask joins only one selection with the read below it: of ``cube.isel(time=3).sel(band="red")``
    it would read all bands. So a selection by whole numbers, slices and at most one list is made on
    the lazy array that the chunks come from, and put into chunks anew. All else is left to dask,
    and what comes of it is an ordinary dask array, as is a copy by pickle.
    """

    _source: xr.Variable
    _chunk: int
    _made: str

    def __new__(cls, source: xr.Variable, chunk: int) -> LazyChips:
        """``source`` is not in memory; ``chunk`` is how many observations are in a chunk."""
        along = {"time": chunk} if "time" in source.dims else {}
        array = source.chunk(along, name=f"chips-{uuid4().hex}").data
        made: LazyChips = super().__new__(  # type: ignore[no-untyped-call]
            cls, array.dask, array.name, array.chunks, dtype=array.dtype, meta=array._meta
        )
        made._source, made._chunk, made._made = source, chunk, array.name
        return made

    def __getitem__(self, index: Any) -> Any:
        key = index if isinstance(index, tuple) else (index,)
        if self.is_changed or not _is_plain(key):
            return super().__getitem__(index)  # type: ignore[no-untyped-call]
        return LazyChips(self._source[key], self._chunk)

    @property
    def is_changed(self) -> bool:
        """Whether it was changed in place, and so is not what its source holds any more."""
        return bool(self.name != self._made)

    def by_observation(self) -> da.Array:
        """The same in chunks of one observation; those that are wanted are read a few at once."""
        layer = _Steps(self._source, self._chunk)
        graph = HighLevelGraph({layer.name: layer}, {layer.name: set()})
        chunks = [
            (1,) * n if dim == "time" else (n,)
            for dim, n in zip(self._source.dims, self.shape, strict=True)
        ]
        return da.Array(graph, layer.name, chunks, dtype=self.dtype)


def _is_plain(key: tuple[Any, ...]) -> bool:
    """Whether a key is whole numbers and slices, and at most one list of whole numbers."""
    lists = [k for k in key if not isinstance(k, int | np.integer | slice) or isinstance(k, bool)]
    return len(lists) < 2 and all(
        isinstance(k, list | np.ndarray) and np.ndim(k) == 1 and np.asarray(k).dtype.kind in "iu"
        for k in lists
    )


_Culled = tuple[Layer, Mapping[Any, set[Any]]]
"""A layer, and the keys of other layers that each of its own needs."""


class _Steps(Layer):
    """A graph of one chunk for each observation, of which those that are wanted are read together.

    dask tells a layer which of its chunks are wanted before it makes tasks of them. So computing
    all reads as many observations at a time as a chunk of the cube has, and one reads one.
    """

    def __init__(self, source: xr.Variable, chunk: int) -> None:
        super().__init__()
        self.name = f"observations-{uuid4().hex}"
        self._source, self._chunk = source, chunk
        self._axis = source.dims.index("time")

    def _key(self, step: int) -> tuple[Any, ...]:
        places = [0] * self._source.ndim
        places[self._axis] = step
        return self.name, *places

    def _graph(self, steps: list[int]) -> dict[Any, Any]:
        """Tasks that give these observations."""
        source = f"source-{self.name}"
        graph: dict[Any, Any] = {source: self._source}
        for start in range(0, len(steps), self._chunk):
            batch, read = steps[start : start + self._chunk], f"read-{start}-{self.name}"
            graph[read] = (_read, source, self._axis, batch)
            for place, step in enumerate(batch):
                part = (slice(None),) * self._axis + (slice(place, place + 1),)
                graph[self._key(step)] = (getitem, read, part)
        return graph

    @cached_property
    def _whole(self) -> dict[Any, Any]:
        return self._graph([*range(self._source.shape[self._axis])])

    def is_materialized(self) -> bool:
        return "_whole" in self.__dict__

    def get_output_keys(self) -> set[Any]:
        return {self._key(step) for step in range(self._source.shape[self._axis])}

    def __getitem__(self, key: Any) -> Any:
        return self._whole[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._whole)

    def __len__(self) -> int:
        return len(self._whole)

    def cull(self, keys: set[Any], all_hlg_keys: Collection[Any]) -> _Culled:  # noqa: ARG002
        """A layer of the wanted chunks alone; it depends on no other layer."""
        wanted = keys & self.get_output_keys()
        graph = self._graph(sorted(key[1 + self._axis] for key in wanted))
        return MaterializedLayer(graph), {key: set() for key in graph}


def _read(source: xr.Variable, axis: int, steps: list[int]) -> npt.NDArray[Any]:
    key = (slice(None),) * axis + (np.array(steps),)
    return np.asarray(source[key])
