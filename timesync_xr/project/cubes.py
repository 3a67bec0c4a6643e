"""Cubes of plots, kept as Zarr: every observation of the plot as it was read.

``prj_{project}/cubes/plot_{plot}.zarr`` is a Zarr v3 group that `xarray.open_zarr` opens: the
variable ``digital_number`` (time, band, y, x) of uint16, described as `timesync_xr.cube.schema`
says. A cube is there whole or not at all. Shards keep the number of objects small; chunks in them
make one observation and one pixel's series cheap to read.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from pyproj import CRS

from ..cube.schema import ALONG_TIME, DIMS, NAME, attributes, coordinates, times
from ..errors import Kind, ProjectError, TimesyncError
from ..grid import ChipGrid
from ..landsat import BANDS, PIXEL
from ..plots import Plot
from ..storage.folder import Folder
from .files import CUBE_MARK, cube_path, waiting_cube_path
from .log import Rows

CHUNK_TIMES: Final = 16
"""Observations in a chunk."""

CHUNK_PIXELS: Final = 32
"""Pixels of a chunk along y and x."""

SHARD_TIMES: Final = 32
"""Observations in a shard, which is one object: 29 MB before compression. Building one takes some
four times as much memory."""


class DamagedCubeError(ProjectError):
    """A cube can't be read; ``why`` says it without the cube and the remedy."""

    kind = Kind.CORRUPT

    def __init__(self, why: str, cube: str = "the cube", remedy: str = "make it again") -> None:
        super().__init__(why, cube, remedy)
        self.why, self.cube, self.remedy = why, cube, remedy

    def __str__(self) -> str:
        return f"{self.cube} is damaged ({self.why}): {self.remedy}"


@contextmanager
def kept_cube(folder: Folder, plot: Plot) -> Iterator[xr.DataArray | None]:
    """The cube of a plot that was kept, complete or waiting; lazy, None if there is none.

    `DamagedCubeError` where it can't be read.
    """
    with (
        folder.tree(cube_path(plot.project_id, plot.plot_id), CUBE_MARK) as whole,
        folder.tree(waiting_cube_path(plot.project_id, plot.plot_id), CUBE_MARK) as waiting,
    ):
        found = waiting or whole
        path = (waiting_cube_path if waiting else cube_path)(plot.project_id, plot.plot_id)
        with _named(f"{folder.root}/{path}", "remove it, and run the same command again"):
            yield None if found is None else open_cube(found)


@contextmanager
def whole_cube(folder: Folder, plot: Plot, grid: ChipGrid | None = None) -> Iterator[xr.DataArray]:
    """The complete cube of a plot, lazy; `ProjectError` if there is none or it can't be read.

    With a ``grid`` also where it tells another place than that, or holds what contradicts itself.
    """
    path = cube_path(plot.project_id, plot.plot_id)
    with folder.tree(path, CUBE_MARK) as tree:
        if tree is None:
            raise ProjectError(f"{path} is not there: run extract with --products zarr again")
        with _named(f"{folder.root}/{path}", "make it again by timesync-xr verify --repair"):
            cube = open_cube(tree)
            if grid is not None:
                with _readable():
                    group = json.loads((tree / CUBE_MARK).read_bytes())
                    _check_members(tree, group)
                    _check_told(group["attributes"], cube, plot, grid)
            yield cube


@contextmanager
def _named(cube: str, remedy: str) -> Iterator[None]:
    """Tell of which cube it is that something is damaged."""
    try:
        yield
    except DamagedCubeError as error:
        raise DamagedCubeError(error.why, cube, remedy) from error


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (TimesyncError, MemoryError):
        raise
    except Exception as error:  # whatever zarr and xarray make of damaged bytes
        raise DamagedCubeError(f"{type(error).__name__}: {error}") from error


def open_cube(path: str | Path) -> xr.DataArray:
    """A cube of a project, lazy without dask: a part of what `chips_for_plot` gives of the plot.

    Its dims, coordinates and attributes are the same; it lacks the observations whose plot pixel is
    fill. How it is stored is not among them, so that a copy may be stored in any way.
    `DamagedCubeError` where it can't be opened, is stored in a way that this package does not
    write, or lacks shards: Zarr takes these for fill.
    """
    with _readable():
        _check_metadata(Path(path))
        cube: xr.DataArray = xr.open_zarr(path, consolidated=True, chunks=None, zarr_format=3)[NAME]
        found = {name: cube[name].variable for name in (*DIMS, *ALONG_TIME, "spatial_ref")}
        texts = {name: found[name].astype(object) for name in ("band", *ALONG_TIME)}
        bare = cube.drop_vars(list(cube.coords))
        cube = bare.assign_coords(found | texts).drop_encoding()
    shards = [f"{NAME}/c/{n}/0/0/0" for n in range(-(-cube.sizes["time"] // SHARD_TIMES))]
    if lacking := [shard for shard in shards if not Path(path, shard).is_file()]:
        raise DamagedCubeError(f"it lacks {lacking[0]}")
    return cube


_NUMBERS: Final = ["bytes", "zstd"]
_PLAIN: Final = (("string", ["vlen-utf8", "zstd"]), ("int64", _NUMBERS), ("float64", _NUMBERS))
"""Types and codecs of coordinates. Texts of no observation are stored as numbers."""

_PIXELS: Final = (("uint16", ["sharding_indexed", ["bytes", "blosc"], ["bytes", "crc32c"]]),)
"""Type and codecs of the pixels: those in a shard, and those of its index."""

_KEYS: Final = {
    "shape", "data_type", "chunk_grid", "chunk_key_encoding", "fill_value", "codecs", "attributes",
    "dimension_names", "zarr_format", "node_type", "storage_transformers",
}  # fmt: skip
"""What is said of an array."""

_MOST_TEXT: Final = 2**24
"""Bytes of the metadata of a cube, at most; those of 4,000 observations have some 10,000."""


def _check_metadata(cube: Path) -> None:
    """`DamagedCubeError` for metadata that this package does not write.

    A project may come from anyone, and Zarr decodes by whatever codec the metadata name, some of
    which run code that stands in the data. So nothing is opened before it was looked at; Zarr
    reads no other metadata than these, since they hold those of all arrays.
    """
    with (cube / CUBE_MARK).open("rb") as file:
        text = file.read(_MOST_TEXT + 1)
    if len(text) > _MOST_TEXT:
        raise DamagedCubeError(f"its {CUBE_MARK} has more than {_MOST_TEXT} bytes")
    group = json.loads(text)
    arrays = group["consolidated_metadata"]["metadata"]
    names = {NAME, *DIMS, *ALONG_TIME, "spatial_ref"}
    if (group["zarr_format"], group["node_type"], {*arrays}) != (3, "group", names):
        raise DamagedCubeError("it is no Zarr v3 group of the arrays of a cube")
    sizes = dict(zip(DIMS, arrays[NAME]["shape"], strict=False))
    for name, array in arrays.items():
        dims = {NAME: DIMS, "spatial_ref": (), **dict.fromkeys(ALONG_TIME, ("time",))}
        shape = [sizes.get(dim, -1) for dim in dims.get(name, (name,))]
        if not _is_as_written(array, shape, _PIXELS if name == NAME else _PLAIN):
            raise DamagedCubeError(f"its {name} is not stored as timesync_xr stores it")


def _check_members(cube: Path, group: Mapping[str, Any]) -> None:
    """`DamagedCubeError` where an array tells other metadata than its group does of it."""
    for name, told in group["consolidated_metadata"]["metadata"].items():
        file = cube / name / CUBE_MARK
        if not file.is_file() or file.stat().st_size > _MOST_TEXT:
            raise DamagedCubeError(f"its {name}/{CUBE_MARK} is missing, or none")
        if json.loads(file.read_bytes()) != told:
            raise DamagedCubeError(f"its {name}/{CUBE_MARK} is other than its {CUBE_MARK} says")


def _check_told(group: Mapping[str, Any], cube: xr.DataArray, plot: Plot, grid: ChipGrid) -> None:
    """`DamagedCubeError` where a cube does not tell the plot and the place that it is of.

    ``group`` are the attributes of its group.
    """
    if (cube.sizes["x"], cube.sizes["y"]) != (grid.width, grid.height):
        found = f"{cube.sizes['x']} x {cube.sizes['y']}"
        raise DamagedCubeError(f"its chips are {found} pixels, not {grid.width} x {grid.height}")
    if not is_of(cube, grid):
        place = [cube.attrs.get(name) for name in ("grid", "plot_x", "plot_y")]
        raise DamagedCubeError(f"it is of another place: {place}, not {grid}")
    ids = plot.project_id, plot.plot_id
    of_group = _of_group(grid) | {"title": _title(plot)}
    for told, of in ((group, of_group), (cube.attrs, attributes(grid, ids))):
        for name, value in json.loads(json.dumps(of)).items():
            if told.get(name) != value:
                raise DamagedCubeError(f"its {name} is {told.get(name)!r}, not {value!r}")
    bare = pd.DataFrame(columns=["time", *ALONG_TIME])
    wanted = coordinates(grid, bare)
    for name in ("band", "y", "x", "spatial_ref"):
        held, right = cube[name].variable, xr.as_variable(wanted[name])
        if held.attrs != right.attrs or not np.array_equal(held.to_numpy(), right.to_numpy()):
            raise DamagedCubeError(f"its {name} is another than that of its place")


def _is_as_written(array: Mapping[str, Any], shape: list[int], ways: Any) -> bool:
    """Whether the metadata of an array are such as this package writes, in one of some ways."""
    return (
        array.keys() <= _KEYS
        and (array["zarr_format"], array["node_type"]) == (3, "array")
        and array["chunk_grid"]["name"] == "regular"
        and array["chunk_key_encoding"] == _CHUNK_NAMES
        and not array.get("storage_transformers")
        and array["shape"] == shape
        and all(0 <= size <= _MOST_VALUES for size in shape)
        and (array["data_type"], _codecs(array["codecs"])) in ways
    )


_CHUNK_NAMES: Final = {"name": "default", "configuration": {"separator": "/"}}

_MOST_VALUES: Final = 2**20
"""Values along a dimension, at most."""


def _codecs(codecs: list[dict[str, Any]]) -> list[Any]:
    """Names of codecs, those that work inside of one after it."""
    names: list[Any] = []
    for codec in codecs:
        inside = codec.get("configuration", {})
        names.append(codec["name"])
        names += [_codecs(inside[key]) for key in ("codecs", "index_codecs") if key in inside]
    return names


def read_part(cube: xr.DataArray, start: int, stop: int) -> xr.DataArray:
    """Some observations of a cube, in memory; `DamagedCubeError` where they can't be read."""
    with _readable():
        return cube[start:stop].compute()


def read_places(cube: xr.DataArray, places: list[int]) -> xr.DataArray:
    """As `read_part`, of observations that may lie apart."""
    with _readable():
        return cube.isel(time=places).compute()


def is_of(cube: xr.DataArray, grid: ChipGrid) -> bool:
    """Whether a cube has the pixels of a chip: its grid, place and size."""
    told = attributes(grid)
    size = cube.sizes["x"], cube.sizes["y"]
    place = ("grid", "plot_x", "plot_y")
    return size == (grid.width, grid.height) and all(
        cube.attrs.get(name) == told[name] for name in place
    )


def is_told_as(cube: xr.DataArray, observations: pd.DataFrame) -> bool:
    """Whether a cube says of its observations what a table as that of a plan says of them."""
    if not np.array_equal(cube["time"].to_numpy(), times(observations)):
        return False
    return all((cube[name].values == observations[name].to_numpy()).all() for name in ALONG_TIME)


def found_in(cube: xr.DataArray | None, log: pd.DataFrame) -> dict[int, int]:
    """Rows of a log whose pixels a kept cube holds, with their place in it."""
    if cube is None:
        return {}
    held = zip(cube["sensor"].values, cube["item_ids"].values, strict=True)
    place = {key: n for n, key in enumerate(held)}
    rows = zip(log["sensor"], log["item_ids"], strict=True)
    return {int(row): place[key] for row, key in zip(log.index, rows, strict=True) if key in place}


class CubeBuilder:
    """Builds the cube of a plot in time order, a shard in memory at a time.

    ``attrs`` are those of the cube (see `timesync_xr.cube.schema`), ``kept`` is the cube that was
    there before: observations of ``found`` that are not added anew are taken from it.
    """

    def __init__(
        self,
        path: Path,
        grid: ChipGrid,
        attrs: Mapping[str, Any],
        kept: xr.DataArray | None,
        found: dict[int, int],
    ) -> None:
        self._path, self._grid, self._attrs = path, grid, attrs
        self._kept, self._found = kept, found
        self._buffer = np.empty((SHARD_TIMES, len(BANDS), grid.height, grid.width), np.uint16)
        self._rows: list[int] = []
        self._array: Any = None
        self._chunk: tuple[int, npt.NDArray[np.uint16]] = (-1, self._buffer[:0])

    def add(self, rows: Rows, values: npt.NDArray[np.uint16]) -> None:
        """Append observations (row, band, y, x), whose rows of the log ascend."""
        for row, value in zip(rows.tolist(), values, strict=True):
            self._take_kept(row)
            self._append(row, value)

    def finish(self, observations: pd.DataFrame, origin: Mapping[str, Any]) -> None:
        """Write what is left, and the coordinates, by the plan's table of observations.

        ``origin`` is told by the group, see `provenance`; the array has its source, too.
        """
        self._take_kept(len(observations))
        self._flush()
        told = {name: origin[name] for name in ("collection", "source") if name in origin}
        self._data().update_attributes(told)
        rows = observations.iloc[self._rows]
        attrs = {**origin, **_of_group(self._grid)}
        group = xr.Dataset(coords=coordinates(self._grid, rows), attrs=attrs)
        with _quiet():
            import zarr

            group.to_zarr(self._path, mode="a", zarr_format=3, consolidated=False,
                          encoding=_encoding(group))  # fmt: skip
            zarr.consolidate_metadata(self._path)

    def _take_kept(self, stop: int) -> None:
        """Append what the kept cube has of the rows up to another."""
        for row in sorted(row for row in self._found if row < stop):
            place = self._found.pop(row)
            self._append(row, self._kept_chunk(place)[place % CHUNK_TIMES])

    def _append(self, row: int, value: npt.NDArray[np.uint16]) -> None:
        self._buffer[len(self._rows) % SHARD_TIMES] = value
        self._rows.append(row)
        if len(self._rows) % SHARD_TIMES == 0:
            self._flush()

    def _flush(self) -> None:
        """Write the observations of the last shard that was begun."""
        start, stop = self._data().shape[0], len(self._rows)
        if stop > start:
            self._data().resize((stop, *self._buffer.shape[1:]))
            self._data()[start:] = self._buffer[: stop - start]

    def _data(self) -> Any:
        """The Zarr array of the pixels."""
        if self._array is None:
            self._array = _create_array(self._path, self._buffer.shape[1:], self._attrs)
        return self._array

    def _kept_chunk(self, place: int) -> npt.NDArray[np.uint16]:
        """The observations of the kept cube that share a chunk with one."""
        start = place - place % CHUNK_TIMES
        if self._kept is not None and self._chunk[0] != start:
            self._chunk = start, read_part(self._kept, start, start + CHUNK_TIMES).to_numpy()
        return self._chunk[1]


def _create_array(path: Path, shape: tuple[int, ...], attrs: Mapping[str, Any]) -> Any:
    """An empty array (time, band, y, x) that grows along time."""
    import zarr
    from zarr.codecs import BloscCodec

    bands, *pixels = shape
    edges = [min(CHUNK_PIXELS, size) for size in pixels]
    whole = [-(-size // edge) * edge for size, edge in zip(pixels, edges, strict=True)]
    return zarr.create_array(
        path / NAME,
        shape=(0, *shape),
        chunks=(CHUNK_TIMES, bands, *edges),
        shards=(SHARD_TIMES, bands, *whole),
        dtype="uint16",
        fill_value=0,
        compressors=BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"),
        dimension_names=DIMS,
        attributes=dict(attrs),
    )


def _encoding(group: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Each coordinate one object, and times in seconds, as all programs know them."""
    encoding: dict[str, dict[str, Any]] = {
        str(name): {"chunks": tuple(max(1, size) for size in variable.shape)}
        for name, variable in group.variables.items()
        if variable.ndim
    }
    encoding["time"] |= {"units": "seconds since 1970-01-01", "dtype": "int64"}
    return encoding


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings that Zarr v3 does not settle text and consolidated metadata yet."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*Zarr (V|format )3 specification")
        yield


def _title(plot: Plot) -> str:
    return f"Landsat observations of plot {plot.plot_id} of project {plot.project_id}"


def _of_group(grid: ChipGrid) -> dict[str, Any]:
    """What a group tells of where its arrays lie."""
    return {"Conventions": "CF-1.10", **_geozarr(grid)}


def _geozarr(grid: ChipGrid) -> dict[str, Any]:
    """Where the arrays of a group lie, by the conventions ``proj:`` and ``spatial:`` of GeoZarr.

    They are told of the group, since they would no longer be true of a part of an array.
    """
    left, bottom, right, top = (float(edge) for edge in grid.bounds)
    return {
        "zarr_conventions": [
            _convention("proj", "f17cb550-5864-4468-aeb7-f3180cfb622f"),
            _convention("spatial", "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4"),
        ],
        "proj:wkt2": CRS.from_user_input(grid.lattice.crs).to_wkt(),
        "spatial:dimensions": ["y", "x"],
        "spatial:bbox": [left, bottom, right, top],
        "spatial:transform": [float(PIXEL), 0.0, left, 0.0, -float(PIXEL), top],
        "spatial:shape": [grid.height, grid.width],
        "spatial:registration": "pixel",
    }


def _convention(name: str, uuid: str) -> dict[str, str]:
    """A convention of Zarr as its version 0.1 is registered."""
    home = f"zarr-conventions/{name}"
    return {
        "schema_url": f"https://raw.githubusercontent.com/{home}/refs/tags/v0.1/schema.json",
        "spec_url": f"https://github.com/{home}/blob/v0.1/README.md",
        "uuid": uuid,
        "name": f"{name}:",
    }


def provenance(plot: Plot, collection: str, source: str) -> dict[str, Any]:
    """Where a cube comes from; the items are among its coordinates."""
    return {
        "title": _title(plot),
        "collection": collection,
        "source": source,
        "history": f"timesync_xr {version('timesync_xr')}",
    }


def settle_cube(folder: Folder, plot: Plot, *, whole: bool) -> None:
    """Put a cube that waited in place, as it lacks nothing any more; or have it wait."""
    new, old = _new_and_old(plot, whole=whole)
    with folder.tree(old, CUBE_MARK) as tree:
        if tree is not None:
            folder.place(tree, new, CUBE_MARK)
    folder.remove_tree(old, CUBE_MARK)


def remove_cubes(folder: Folder, plot: Plot) -> None:
    """Remove the cube of a plot, whole or waiting."""
    for path in _new_and_old(plot, whole=True):
        folder.remove_tree(path, CUBE_MARK)


def _new_and_old(plot: Plot, *, whole: bool) -> tuple[str, str]:
    """Where a cube goes that is whole, or is to wait, and where the other would be."""
    paths = [path(plot.project_id, plot.plot_id) for path in (cube_path, waiting_cube_path)]
    return (paths[0], paths[1]) if whole else (paths[1], paths[0])


def put_cube(folder: Folder, plot: Plot, tree: Path, *, whole: bool) -> None:
    """Put a cube in place that was built, or let it wait for what could not be read.

    The one that it replaces is removed, so that no cube holds less than the plot's other files.
    """
    new, old = _new_and_old(plot, whole=whole)
    folder.place(tree, new, CUBE_MARK)
    folder.remove_tree(old, CUBE_MARK)
