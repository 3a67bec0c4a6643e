"""Chips of cubes: the same as those of the archive, and others by name."""

from __future__ import annotations

from pathlib import Path

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from PIL import Image

from tests.strategies import CLEAR, cube_of
from timesync_xr import (
    Archive,
    Products,
    Project,
    Selection,
    extract,
    repair,
    verify,
)
from timesync_xr.errors import InputError, ProjectError
from timesync_xr.landsat import TASSELED_CAPS
from timesync_xr.project.files import png_bytes
from timesync_xr.run.render import render
from timesync_xr.sample import SamplePaths
from timesync_xr.spectral.composites import (
    ALL_COMPOSITES,
    COMPOSITES,
    Composite,
    _byte_table,
    channel_values,
    composite_rgb,
    draw_each,
    is_fill_pixel,
)
from timesync_xr.spectral.composites import stretch as stretched
from timesync_xr.spectral.reflectance import to_collection1
from timesync_xr.spectral.styles import Styles, read_styles, with_percentiles


def contract(out: Path) -> dict[str, bytes]:
    files = (p for p in out.rglob("*") if p.is_file() and p.suffix in (".csv", ".png"))
    return {n: p.read_bytes() for p in files if (n := str(p.relative_to(out)))[:4] == "prj_"}


@pytest.fixture(scope="module")
def project(sample: SamplePaths, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cubes of the first two plots of the sample, and their files made directly."""
    folder = tmp_path_factory.mktemp("project")
    lines = sample.plots.read_text().splitlines()
    (folder / "plots.csv").write_text("\n".join(lines[:3]))
    for name, products in (("cubes", ("zarr",)), ("direct", ("png", "csv"))):
        extract(
            folder / "plots.csv",
            folder / name,
            Archive(sample.items, mirror=f"s3://usgs-landsat-ard={sample.folder}"),
            products=Products(products, chip_size=(61, 61)),
            progress=False,
        )
    return folder


@pytest.mark.deep
def test_it_gives_the_files_of_a_direct_extract(
    sample: SamplePaths, project: Path, tmp_path: Path
) -> None:
    assert len(render(project / "cubes", tmp_path, progress=False)) == 2
    assert contract(tmp_path) == contract(project / "direct")
    assert len(contract(tmp_path)) > 100
    assert verify(tmp_path).empty
    chip = next((tmp_path).rglob("tc/*/*.png"))
    chip.write_bytes(png_bytes(np.full((61, 61, 3), 77, np.uint8)))
    problems = verify(tmp_path)
    assert problems["file"].tolist() == [str(chip.relative_to(tmp_path))]
    with pytest.raises(ProjectError, match="make it again by timesync-xr render"):
        repair(tmp_path, problems)
    with pytest.raises(ProjectError, match="was made of cubes, by timesync-xr render"):
        extract(
            sample.plots, tmp_path, Archive(sample.items), products=Products(chip_size=(61, 61))
        )
    assert chip.exists()
    assert len(render(project / "cubes", tmp_path, progress=False)) == 0
    with pytest.raises(InputError, match="is the project whose cubes are drawn"):
        render(project / "cubes", project / "direct" / ".." / "cubes")


@pytest.mark.deep
def test_other_composites_and_stretches_by_name(project: Path, tmp_path: Path) -> None:
    styles = tmp_path / "styles.toml"
    styles.write_text(
        '[composites.mine]\nchannels = ["swir16", "ndvi", "wetness"]\n'
        "limits = [[0, 4000], [0, 1], [-2000, 800]]\n"
        '[stretches.soft]\npercentiles = [1, 99]\nover = "project"\n'
    )
    for stretch in ("plot", "project", "soft"):
        render(
            project / "cubes",
            tmp_path / stretch,
            formats="png",
            progress=False,
            composites=["b543", "mine"],
            stretch=stretch,
            styles=read_styles(styles),
        )
        names = {p.parent.parent.name for p in (tmp_path / stretch).rglob("*.png")}
        assert names == {"b543", "mine"}
        assert verify(tmp_path / stretch).empty
    chips = [np.asarray(Image.open(p)) for p in (tmp_path / "plot").rglob("mine/*/*.png")]
    assert all(chip.shape == (61, 61, 3) for chip in chips)
    assert max(chip.max() for chip in chips) == 255


@pytest.mark.deep
def test_what_the_project_lost_is_removed_and_what_is_new_is_added(
    sample: SamplePaths, tmp_path: Path
) -> None:
    """Other filters and a longer time; the result is that of rendering it all at once."""
    plots = tmp_path / "plots.csv"
    plots.write_text("\n".join(sample.plots.read_text().splitlines()[:2]))
    archive = Archive(sample.items, mirror=f"s3://usgs-landsat-ard={sample.folder}")
    products = Products("zarr", chip_size=5)
    for select in (Selection("../2012"), Selection(season="06-01/08-31", prune=True)):
        extract(plots, tmp_path / "p", archive, select, products, progress=False)
        render(tmp_path / "p", tmp_path / "again", formats="csv", prune=True, progress=False)
    render(tmp_path / "p", tmp_path / "again", formats="png", progress=False)
    render(tmp_path / "p", tmp_path / "once", progress=False)
    assert contract(tmp_path / "again") == contract(tmp_path / "once")
    assert Project(str(tmp_path / "again")).plots["products"].tolist() == ["png,csv"]


@pytest.mark.deep
def test_no_project_is_drawn_in_two_ways(project: Path, tmp_path: Path) -> None:
    """Also where the name of a composite stays and what it stands for changes."""
    text = '[composites.mine]\nchannels = ["red", "red", "red"]\nlimits = [[0,1], [0,1], [0,{}]]'
    for number, limit in enumerate((1, 2)):
        (tmp_path / f"{number}.toml").write_text(text.format(limit))

    def run(styles: str, stretch: str) -> None:
        render(
            project / "cubes",
            tmp_path / "out",
            composites=["mine"],
            formats="png",
            styles=read_styles(tmp_path / styles),
            stretch=stretch,
            progress=False,
        )

    run("0.toml", "fixed")
    run("0.toml", "fixed")
    for styles, stretch in (("1.toml", "fixed"), ("0.toml", "plot")):
        with pytest.raises(ProjectError, match="use the same, or another --out folder"):
            run(styles, stretch)


def test_bands_and_components_may_be_mixed() -> None:
    """A channel looks the same whatever stands beside it, and as its values say."""
    cube = cube_of(np.random.default_rng(3).integers(0, 65536, (2, 7, 30, 20), dtype=np.uint16))
    fill = is_fill_pixel(cube).to_numpy()
    limits = ((0, 4000),) * 3
    mixed = Composite("mixed", ("swir16", "wetness", "red"), limits)
    alone = [Composite(name, (name,) * 3, limits) for name in mixed.channels]
    for step, (chip, *channels) in enumerate(draw_each(cube, [mixed, *alone])):
        for position, (name, channel) in enumerate(zip(mixed.channels, channels, strict=True)):
            np.testing.assert_array_equal(chip[..., position], channel[..., 0])
            eager = stretched(channel_values(cube, name).to_numpy(), *limits[position])
            np.testing.assert_array_equal(chip[..., position], np.where(fill, 0, eager)[step])


@pytest.mark.deep
def test_a_project_without_cubes_and_unknown_names_are_told(project: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no complete cube"):
        render(project / "direct", tmp_path / "a", progress=False)
    with pytest.raises(InputError, match="no composite 'b999': choose from tc"):
        render(project / "cubes", tmp_path / "b", composites=["b999"], progress=False)
    with pytest.raises(InputError, match="no stretch 'hard': choose from fixed"):
        render(project / "cubes", tmp_path / "c", stretch="hard", progress=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        '[composites."../x"]\nchannels = ["red", "red", "red"]\nlimits = [[0,1],[0,1],[0,1]]',
        '[composites.a]\nchannels = ["rod", "red", "red"]\nlimits = [[0,1],[0,1],[0,1]]',
        '[composites.a]\nchannels = ["red", "red"]\nlimits = [[0,1],[0,1]]',
        '[composites.a]\nchannels = ["red", "red", "red"]\nlimits = [[1,0],[0,1],[0,1]]',
        '[composites.a]\nchannels = ["wetness@x", "red", "red"]\nlimits = [[0,1],[0,1],[0,1]]',
        '[composites.a]\nchannels = ["red", "red", "red"]\nlimits = [[0,inf],[0,1],[0,1]]',
        '[composites.cubes]\nchannels = ["red", "red", "red"]\nlimits = [[0,1],[0,1],[0,1]]',
        "[stretches.a]\npercentiles = [98, 2]",
    ],
)
def test_a_wrong_file_of_styles_is_an_input_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "styles.toml").write_text(text)
    with pytest.raises(InputError):
        read_styles(tmp_path / "styles.toml")


FOREST = '[composites.forest]\nchannels = ["red", "red", "red"]\nlimits = [[0,1],[0,1],[0,1]]'


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("composites", "composite", "has no 'composite' .did you mean 'composites'"),
        ("limits", "limit", "forest. has no 'limit' .did you mean 'limits'"),
        ("limits = ", "# ", "forest. lacks 'limits': give"),
        ("[[0,1],", "[[0],", "'forest' needs three channels, and limits for each"),
        ("[composites.forest]", "[composites]\nforest = 1\n[x]", "the file has no 'x'"),
        ("[composites.forest]", "forest =", "can't be read as TOML"),
        ('"red"]', '"tcw"]', "no channel 'tcw' .did you mean 'wetness'"),
        ('"red"]', '"swir1"]', "no channel 'swir1' .did you mean 'swir16'"),
        (FOREST, "[stretches.soft]\npercentiles = 2", "soft. needs percentiles of two numbers"),
        (FOREST, "[stretches.soft]\npercentile = [1, 2]", "did you mean 'percentiles'"),
    ],
)
def test_what_is_wrong_with_a_file_of_styles_is_told(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    (tmp_path / "styles.toml").write_text(FOREST.replace(old, new))
    with pytest.raises(InputError, match=said):
        read_styles(tmp_path / "styles.toml")


def test_percentiles_are_those_of_the_clear_pixels() -> None:
    values = np.random.default_rng(1).integers(7273, 43636, (3, 7, 40, 40), dtype=np.uint16)
    values[:, 6] = CLEAR
    values[2, 6] = 22280
    cube = cube_of(values)
    found = with_percentiles(COMPOSITES["b743"], [cube[:1], cube[1:]], (2, 98))
    for channel, limits in zip(found.channels, found.limits, strict=True):
        clear = to_collection1(cube[:2].sel(band=channel).to_numpy())
        assert limits == pytest.approx(np.percentile(clear, [2, 98]), abs=30)
    whole = with_percentiles(COMPOSITES["b743"], [cube], (0, 100))
    for channel, limits in zip(whole.channels, whole.limits, strict=True):
        clear = to_collection1(cube[:2].sel(band=channel).to_numpy())
        assert limits == (clear.min(), clear.max())
    cloudy = with_percentiles(COMPOSITES["b743"], [cube[2:]], (2, 98))
    assert cloudy == COMPOSITES["b743"]


def test_stretches_of_many_plots_do_not_fill_the_memory() -> None:
    for low in range(200):
        _byte_table(low, 5000)
    assert _byte_table.cache_info().currsize < 100  # of 66 kB each


@pytest.mark.deep
def test_every_registered_composite_is_what_render_writes(project: Path, tmp_path: Path) -> None:
    """`composite_rgb` of the kept cube, lazily and not, and the files of `render`."""
    names = tuple(Styles().composites)
    assert {*COMPOSITES, "b543", "b321", "ndvi", "nbr", "ndmi"} == {*names} == {*ALL_COMPOSITES}
    render(project / "cubes", tmp_path, formats=["png"], composites=names, progress=False)
    kept = next((project / "cubes").glob("prj_*/cubes/plot_*.zarr"))
    plot = kept.stem
    cube = xr.open_zarr(kept, consolidated=False)["digital_number"]
    chosen = cube[:: len(cube) // 5]
    compared = 0
    for name in names:
        lazy = composite_rgb(chosen, name)
        assert isinstance(lazy.data, da.Array)
        xr.testing.assert_identical(lazy.compute(), composite_rgb(chosen.compute(), name))
        for chip in lazy.compute():
            day = pd.Timestamp(chip["time"].item())
            file = tmp_path / kept.parent.parent.name / name / plot / f"{plot}_{day:%Y_%j}.png"
            if file.exists():  # not the other one of a day
                np.testing.assert_array_equal(np.asarray(Image.open(file)), chip)
                compared += 1
    assert compared > 20


def test_indices_as_channels_are_stretched_quotients_and_fill_is_black() -> None:
    """By numpy, over digital numbers where every pixel differs and some are fill."""
    dn = np.random.default_rng(2).integers(7000, 45000, (2, 7, 60, 5), dtype=np.uint16)
    dn[0, 3, 7] = 0
    _, _, red, nir, swir16, swir22 = np.trunc((dn[:, :6] * 0.0000275 - 0.2) * 1e4).swapaxes(0, 1)
    for name, a, b in (("ndvi", nir, red), ("nbr", nir, swir22), ("ndmi", nir, swir16)):
        low, high = ALL_COMPOSITES[name].limits[0]
        with np.errstate(divide="ignore", invalid="ignore"):
            index = (a - b) / (a + b)
            expected = np.clip(255 / (high - low) * (index - low), 0, 255)
        known = (dn[:, :6] != 0).all(axis=1) & (a + b != 0)
        expected = np.where(known, expected, 0).astype(np.uint8)
        made = composite_rgb(cube_of(dn), name)
        assert made.dims == ("time", "y", "x", "rgb")
        for channel in made.transpose("rgb", ...).to_numpy():
            np.testing.assert_array_equal(channel, expected)


def test_bands_components_of_any_coefficients_and_indices_may_be_mixed() -> None:
    dn = np.random.default_rng(4).integers(1, 45000, (2, 7, 9, 8), dtype=np.uint16)
    limits = ((-2000.0, 2000.0), (-1.0, 3.0), (-2245.0, 843.0))
    made = composite_rgb(
        cube_of(dn), Composite("x", ("wetness@huang2002", "evi", "wetness"), limits)
    )
    values = to_collection1(dn[:, :6]).astype(float)
    blue, _, red, nir, _, _ = values.swapaxes(0, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        evi = np.nan_to_num(2.5 * (nir - red) / (nir + 6 * red - 7.5 * blue + 10000), nan=-1)
    weights = [
        np.rint(np.array(TASSELED_CAPS[n]["wetness"]) * 1e4) for n in ("huang2002", "crist1985")
    ]
    huang, crist = (np.einsum("b,tbyx->tyx", weight, values) / 1e4 for weight in weights)
    for channel, expected, (low, high) in zip("rgb", (huang, evi, crist), limits, strict=True):
        byte = np.clip(255 / (high - low) * (expected - low), 0, 255).astype(np.uint8)
        np.testing.assert_array_equal(made.sel(rgb=channel), byte)
