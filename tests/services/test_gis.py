"""What `export` writes, in the hands of GDAL's own programs and of R.

`.ci/run` installs Debian's gdal-bin. R and its packages are large, so that they are tried where
they are: r-base-core, r-cran-readr, r-cran-sf and r-cran-terra.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import timesync_xr as tx
from tests.conftest import MakeOnce
from timesync_xr.sample import SamplePaths

PAGE = Path(__file__).parents[2] / "docs/howto/gis.md"


@pytest.fixture(scope="module")
def place(sample: SamplePaths, made_once: MakeOnce) -> Path:
    """A folder with the project of the how-to, of one plot and year, and its exports."""

    def make(out: Path) -> None:
        plots = tx.read_plots(sample.plots).iloc[[1]]
        archive = tx.Archive(sample.items, mirror=f"s3://usgs-landsat-ard={sample.folder}")
        made = tx.Products("png,csv,zarr", chip_size=(63, 63))
        project = out / "project"
        tx.extract(plots, project, archive, tx.Selection("1996"), made, progress=False)
        tx.combine(project)
        tx.export_project(project, "gpkg")
        tx.export_rasters(project, "geotiff", composites=["tc"])
        for form in ("png", "netcdf"):
            tx.export_rasters(project, form)

    return made_once("gis", make)


def ran(*words: object, cwd: Path | None = None) -> str:
    if shutil.which(str(words[0])) is None:
        pytest.skip(f"there is no {words[0]} here: see the top of this file")
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False, cwd=cwd
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_gdal_places_pictures_and_layers(place: Path) -> None:
    exports = place / "project/exports"
    (plot,) = tx.Project(place / "project").plots.to_dict("records")
    x, y, edge = float(plot["x"]), float(plot["y"]), 63 * 15.0
    for path in (next(exports.rglob("*_tc.tif")), next(exports.rglob("*.png")),
                 f'NETCDF:"{next(exports.rglob("*.nc"))}":red'):  # fmt: skip
        told: dict[str, Any] = json.loads(ran("gdalinfo", "-json", path))
        corners = told["cornerCoordinates"]
        assert corners["center"] == pytest.approx([x, y])
        assert corners["upperLeft"] == pytest.approx([x - edge, y + edge])
        assert "Albers" in told["coordinateSystem"]["wkt"]
    layers = ran("ogrinfo", "-q", exports / "plots.gpkg")
    assert re.findall(r"\d: (\w+) \((\w+)\)", layers) == [
        ("plots", "Point"), ("chips", "Polygon"), ("windows", "Polygon"), ("pixels", "Polygon"),
    ]  # fmt: skip
    one = ran("ogrinfo", "-al", exports / "plots.gpkg", "pixels")
    assert "plot_id (String) = 2" in one
    assert "note (String) = forest, burnt in July 1996" in one


def test_the_code_for_r_runs(place: Path, tmp_path: Path) -> None:
    """The blocks of the page as they stand; values are those of the project."""
    blocks = re.findall(r"^```text\n(library.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    code = "\n".join([f'setwd("{place}")', f'png("{tmp_path}/r.png")', *blocks, """
        write(toupper(typeof(spectra$plot_id)), stdout())
        write(spectra$hv[1], stdout())
        cat(nrow(spectra), nlyr(red), ncol(chip), nlyr(chip), plots$plot_id, "\\n")
        at <- cellFromXY(red, cbind(plots$x, plots$y))
        cat(format(values(red)[at, ], digits = 8), "\\n")
        cat(format(time(red), "%Y-%m-%d"), "\\n")
    """])  # fmt: skip
    (tmp_path / "page.R").write_text(code)
    told = ran("Rscript", tmp_path / "page.R").splitlines()
    spectra = pd.read_csv(place / "project/combined/spectra.csv", dtype=str)
    start = told.index("CHARACTER")
    assert told[start + 1] == "1906"
    assert told[start + 2].split() == [str(len(spectra)), str(len(spectra)), "63", "3", "2"]
    values = [float(text) for text in told[start + 3].split()]
    with tx.Project(place / "project").cube(("1001", "2")) as cube:
        expected = tx.plot_pixel(tx.reflectance(cube.sel(band="red"))).to_numpy()
        days = cube["time"].dt.strftime("%Y-%m-%d").to_numpy().tolist()
    assert values == pytest.approx(expected.tolist(), abs=1e-6)
    assert told[start + 4].split() == days
