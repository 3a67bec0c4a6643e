"""Cubes, composites and chips as files that GIS programs place: GeoTIFF, netCDF, world files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd
import xarray as xr

from ..cube.schema import NAME, expect_dims
from ..errors import DamagedError, InputError, check_choice, check_path
from ..grid import ChipGrid
from ..landsat import FILL, OFFSET, PIXEL, QA_BAND, QA_FLAGS, SCALE, SR_BANDS
from ..plots import Plot
from ..project.cubes import CHUNK_TIMES, read_part, whole_cube
from ..project.files import EXPORTS, chip_path, plot_path, project_path
from ..project.ledger import COMPLETE
from ..project.log import WRITTEN
from ..project.project import Plots, Project, as_project, unfinished
from ..project.rows import has_product, tell_left_out
from ..spectral.composites import Composite, Composites, composite_rgb, read_composites
from ..storage.folder import read_file, whole_file
from ..storage.places import beside, place_of, workplace
from ..storage.tables import write_tables
from .formats import Exported
from .series import PLOTS

RASTERS: Final = ("geotiff", "netcdf", "png")
"""Formats of `export_rasters`, each a folder of that name."""

_SCALED: Final = {*SR_BANDS}
"""Bands that have a scale and an offset."""

_Made = Iterator[tuple[str, Callable[[Path], object]]]
"""Paths of files, each with what writes it."""


def write_geotiff(array: xr.DataArray, path: str | Path) -> None:
    """Write one picture as a cloud-optimized GeoTIFF that says what is in it.

    The file has the CRS and place of the array; bands by name (those through time by their moment);
    its ``nodata``, a chip a mask of what is black in its place, since QGIS would leave out all that
    is 0 in one colour; for digital numbers scale and offset of reflectance, which QGIS and terra
    apply; and as tags its attributes, time, sensor and items. `InputError` for more dimensions,
    and for an array that has no place.

    Parameters
    ----------
    array
        A cube at one time (band, y, x), a chip of `composite_rgb` (y, x, rgb), values (y, x), or
        values through time (time, y, x); lazy or not, and any spatial part of them. Values are
        written as they are; bool becomes 0 and 1.
    path
        The file. It is replaced where it is there.

    Examples
    --------
    ::

        tx.write_geotiff(cube.isel(time=0), "bands.tif")
    """
    import rasterio
    import rioxarray  # noqa: F401 - registers the .rio accessor
    from rasterio.enums import ColorInterp

    expect_dims(array, ("y", "x"), ("y", "x"))
    others = [dim for dim in array.dims if dim not in ("y", "x")]
    if len(others) > 1:
        raise InputError(
            f"a GeoTIFF holds one dimension beside y and x, not {', '.join(map(str, others))}: "
            "choose one step, such as cube.isel(time=0)"
        )
    crs = array.rio.crs
    if crs is None:
        raise InputError("the array has no CRS: keep its coordinate spatial_ref")
    pixels = array.transpose(*others, "y", "x").compute()
    names = _band_names(pixels, str(others[0]) if others else "")
    values = pixels.to_numpy().reshape(-1, *pixels.shape[-2:])
    values = values.astype(np.uint8) if values.dtype == bool else values
    nodata = np.nan if values.dtype.kind == "f" else pixels.attrs.get("nodata")
    is_picture = others == ["rgb"]  # where 0 in a channel is a colour, and all black is fill
    with whole_file(path) as whole, rasterio.open(
        whole, "w", driver="COG", dtype=values.dtype, count=len(values), height=values.shape[1],
        width=values.shape[2], crs=crs, transform=pixels.rio.transform(recalc=True),
        nodata=None if is_picture else nodata, compress="DEFLATE", predictor="YES",
        blocksize=256, overviews="NONE",
    ) as file:  # fmt: skip
        file.write(values)
        file.descriptions = names
        file.update_tags(**_tags(pixels))
        if is_picture:
            file.write_mask(values.any(0))
            file.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
        if pixels.name == NAME and {*names} & _SCALED:
            file.scales = [SCALE if name in _SCALED else 1.0 for name in names]
            file.offsets = [OFFSET if name in _SCALED else 0.0 for name in names]


def _band_names(pixels: xr.DataArray, dim: str) -> tuple[str, ...]:
    """What the bands of a file are called."""
    if not dim:
        band = pixels.coords.get("band")
        name = "values" if pixels.name is None else pixels.name
        return (str(name if band is None else band.item()),)
    if dim not in pixels.coords:
        return tuple(f"{dim} {n}" for n in range(pixels.sizes[dim]))
    if dim == "time":
        return tuple(str(moment)[:19] for moment in pixels[dim].to_numpy())
    return tuple(map(str, pixels[dim].to_numpy()))


def _tags(pixels: xr.DataArray) -> dict[str, str]:
    """What a file says of itself: attributes of the array, and of its one observation."""
    told: dict[str, Any] = {
        name: value
        for name, value in pixels.attrs.items()
        if name not in ("grid_mapping", "nodata") and isinstance(value, str | int | float)
    }
    for name in ("sensor", "hv", "item_id", "item_ids", "date", "year"):
        if name in pixels.coords and not pixels[name].dims:
            told[name] = pixels[name].item()
    if "time" in pixels.coords and not pixels["time"].dims:
        moment = pd.Timestamp(pixels["time"].item())
        if pd.notna(moment):
            told["TIFFTAG_DATETIME"] = f"{moment:%Y:%m:%d %H:%M:%S}"
    return {name: str(value) for name, value in told.items()}


def write_world_file(chip: xr.DataArray, png: str | Path) -> None:
    """Say where a PNG of a chip lies, in two files beside it: ``.pgw`` and ``.png.aux.xml``.

    ``chip`` is what was drawn (y, x, rgb), with coordinates and CRS; ``png`` the path of the PNG.
    The world file has the size and place of the pixels, the other the CRS; QGIS, GDAL, terra and
    ArcGIS read both. `InputError` for a chip without place.

    Examples
    --------
    ::

        chip = tx.composite_rgb(cube, "tc").isel(time=0)
        tx.write_png(chip, "chip.png")
        tx.write_world_file(chip, "chip.png")  # chip.pgw and chip.png.aux.xml
    """
    import rioxarray  # noqa: F401 - registers the .rio accessor

    expect_dims(chip, ("y", "x"), ("y", "x"))
    if chip.rio.crs is None:
        raise InputError("the chip has no CRS: keep its coordinate spatial_ref")
    check_path(png, "png", "give the path of the PNG")
    left, top = float(chip["x"][0]), float(chip["y"][0])
    if not Path(png).name:
        raise InputError(f"png {str(png)!r} names no file: give the path of the PNG")
    _write_beside(Path(png), left, top, chip.rio.crs.to_wkt())


def _write_beside(png: Path, x: float, y: float, crs: str) -> None:
    """Write the files beside a PNG whose first pixel has this centre."""
    from pyproj import CRS

    wkt = CRS.from_user_input(crs).to_wkt("WKT1_GDAL")  # which every version of GDAL reads
    world = "".join(f"{number:.12g}\n" for number in (PIXEL, 0, 0, -PIXEL, x, y))
    srs = f'<SRS dataAxisToSRSAxisMapping="1,2">{escape(wkt)}</SRS>'
    aux = f"<PAMDataset>\n  {srs}\n</PAMDataset>\n"
    for name, text in ((f"{png.stem}.pgw", world), (f"{png.name}.aux.xml", aux)):
        with whole_file(png.parent / name) as file:
            file.write_text(text, encoding="utf-8")


def export_rasters(
    project: Project | str | Path,
    form: str,
    out: str | Path | None = None,
    *,
    plots: Plots = None,
    composites: Composites = (),
) -> Exported:
    """Write the pixels of a project as files that GIS programs open and place.

    Parameters
    ----------
    project
        A `Project`, or its folder. A run may be at work on it.
    form
        ``"geotiff"``: of every observation in a plot's cube a cloud-optimized GeoTIFF, see
        `write_geotiff`: the seven bands, or ``composites``.
        ``"netcdf"``: of every cube one file, as CF has it: a variable (time, y, x) for each band,
        which netCDF readers turn into reflectance by its scale and offset.
        ``"png"``: the chips as they are, each with a world file and its CRS beside it.
        The first two need cubes (``--products zarr``), the last chips (``png``).
    out
        Folder to write to, or an address in a bucket that is reached as the project is; ``exports``
        in the project by default. The files lie in a folder of the format's name, and with them
        ``plots.csv``, which tells where the plots lie (`Project.places`).
    plots
        A plot list, to take its plots only.
    composites
        For GeoTIFF composites by name or of your own, see `composite_rgb`: the bands by default.
        For PNG names of the project's composites: all by default.

    Returns
    -------
    Exported
        The folder, and the number of files (without those beside PNGs, and ``plots.csv``).

    Raises
    ------
    InputError
        For an unknown format or composite, where no plot has what it takes, and where netCDF4 is
        needed and not installed.
    ProjectError, AccessError
        There is no project, or something can't be read or written.

    Examples
    --------
    ::

        print(tx.export_rasters(project, "png", "rasters", plots=plots.head(1)))
    """
    check_choice(form, RASTERS, "format")
    project = as_project(project)
    drawn = _composites(project, form, composites)
    known = project.chosen(plots)
    product = "png" if form == "png" else "zarr"
    known = known[has_product(known, product) & (known["status"] == COMPLETE)]
    if known.empty:
        raise InputError(
            f"{project.place} has no complete plot with {product}: make them by timesync-xr "
            f"extract --products {product}"
        )
    write = {"geotiff": _geotiffs, "netcdf": _netcdfs, "png": _pngs}[form]
    place, count = place_of(out, project.place, EXPORTS), 0
    with workplace(place, project.s3) as work:
        for row in known.to_dict("records"):
            plot = Plot(row["project_id"], row["plot_id"], row["x"], row["y"])
            for path, make in write(project, plot, drawn):
                target = work / form / path
                target.parent.mkdir(parents=True, exist_ok=True)
                make(target)
                count += 1
        places = project.places(known)
        write_tables(work / form / PLOTS, places, [places])
    return Exported(beside(place, form), count, unfinished(known, project.settings), "file")


def _composites(project: Project, form: str, named: Composites) -> tuple[Composite, ...]:
    """The composites to write; `InputError` for those that there are not."""
    own = {composite.name: composite for composite in project.settings.composites}
    if form == "geotiff":
        return read_composites(named)
    if form == "netcdf":
        if named:
            raise InputError("composites are no part of netCDF: take --format geotiff or png")
        return ()
    try:
        return read_composites(named, own) or tuple(own.values())
    except InputError as error:
        raise InputError(f"of the chips that the project has {error}") from None


def _geotiffs(project: Project, plot: Plot, composites: Sequence[Composite]) -> _Made:
    """Every observation of a plot's cube: its bands, or these composites."""
    with whole_cube(project.folder, plot) as cube:
        for one in _each_time(cube):
            day = pd.Timestamp(one["time"].item())
            stem = f"{plot_path(plot.plot_id)}_{day:%Y_%j}_{one['sensor'].item()}"
            folder = project_path(plot.project_id)
            parts = [(c.name, composite_rgb(one, c)) for c in composites] or [("bands", one)]
            for name, part in parts:
                path = f"{folder}/{name}/{plot_path(plot.plot_id)}/{stem}_{name}.tif"
                yield path, partial(write_geotiff, part)


def _each_time(cube: xr.DataArray) -> Iterator[xr.DataArray]:
    """The observations of a kept cube, in memory; each of its chunks of some is read once."""
    for start in range(0, cube.sizes["time"], CHUNK_TIMES):
        chunk = read_part(cube, start, start + CHUNK_TIMES)
        yield from (chunk.isel(time=n) for n in range(chunk.sizes["time"]))


def _netcdfs(project: Project, plot: Plot, _: Sequence[Composite]) -> _Made:
    """The cube of a plot in one file."""
    with whole_cube(project.folder, plot) as cube:
        path = f"{project_path(plot.project_id)}/{plot_path(plot.plot_id)}.nc"
        yield path, partial(_write_netcdf, cube, plot)


def _write_netcdf(cube: xr.DataArray, plot: Plot, path: Path) -> None:
    made = _as_cf(cube, plot)
    sizes = tuple(min(16, cube.sizes["time"]) if dim == "time" else cube.sizes[dim]
                  for dim in ("time", "y", "x"))  # fmt: skip
    packed = {"zlib": True, "complevel": 4, "shuffle": True, "chunksizes": sizes}
    encoding: dict[str, Any] = {name: dict(packed) for name in (*SR_BANDS, QA_BAND)}
    encoding["time"] = {"units": "seconds since 1970-01-01", "dtype": "int64"}
    try:
        made.to_netcdf(path, engine="netcdf4", encoding=encoding)
    except ImportError:
        raise InputError(
            "netCDF is written by netCDF4, which is not installed: pip install netCDF4, or take "
            "--format geotiff"
        ) from None


def _as_cf(cube: xr.DataArray, plot: Plot) -> xr.Dataset:
    """A cube as a dataset of CF: a variable for each band, with what turns it into reflectance."""
    made = cube.to_dataset("band").drop_attrs(deep=False)
    for name in SR_BANDS:
        made[name].attrs = {
            "long_name": f"surface reflectance, {name}",
            "standard_name": "surface_bidirectional_reflectance",
            "units": "1",
            "scale_factor": SCALE,
            "add_offset": OFFSET,
            "_FillValue": np.uint16(FILL),
        }
    made[QA_BAND].attrs = {
        "long_name": "QA_PIXEL: pixel quality, by its bits",
        "standard_name": "quality_flag",
        "flag_masks": np.array([1 << bit for bit in QA_FLAGS.values()], np.uint16),
        "flag_meanings": " ".join(QA_FLAGS),
    }
    for name in (*SR_BANDS, QA_BAND):
        made[name].attrs["grid_mapping"] = "spatial_ref"
    left, top = float(cube["x"][0]) - PIXEL / 2, float(cube["y"][0]) + PIXEL / 2
    made["spatial_ref"].attrs["GeoTransform"] = f"{left:.10g} {PIXEL} 0 {top:.10g} 0 -{PIXEL}"
    made.attrs = {
        "Conventions": "CF-1.10",
        "title": f"Landsat observations of plot {plot.plot_id} of project {plot.project_id}",
        "source": "Landsat Collection 2 surface reflectance",
        "history": f"timesync_xr {version('timesync_xr')}",
        **{key: cube.attrs[key] for key in ("grid", "plot_x", "plot_y")},
        "project_id": plot.project_id,
        "plot_id": plot.plot_id,
    }
    return made


def _pngs(project: Project, plot: Plot, composites: Sequence[Composite]) -> _Made:
    """The chips of a plot, with world files."""
    settings = project.settings
    chip = ChipGrid.around(settings.grid, plot.x, plot.y, settings.chip_size)
    ids, log = (plot.project_id, plot.plot_id), project.log(plot)
    for day in sorted({*log.loc[log["outcome"] == WRITTEN, "day"]}):
        stamp = pd.Timestamp(day)
        for composite in composites:
            name = composite.name
            path = chip_path(plot.project_id, name, plot.plot_id, stamp.year, stamp.day_of_year)
            try:
                png = read_file(project.folder, path)
            except FileNotFoundError:
                tell_left_out(*ids, [f"{path} is missing"])
            except DamagedError as error:
                tell_left_out(*ids, [f"{path} is damaged: {error}"])
            else:
                yield path, partial(_write_png, png, chip)


def _write_png(png: bytes, chip: ChipGrid, path: Path) -> None:
    path.write_bytes(png)
    _write_beside(path, float(chip.x[0]), float(chip.y[0]), chip.lattice.crs)
