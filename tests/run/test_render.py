"""Chips of cubes: the same as those of the archive, and others by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
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
from timesync_xr.landsat import COMPOSITES, Composite
from timesync_xr.project.files import png_bytes
from timesync_xr.run.render import render
from timesync_xr.sample import SamplePaths
from timesync_xr.spectral.composites import _byte_table, composite_rgb, is_fill_pixel
from timesync_xr.spectral.composites import stretch as stretched
from timesync_xr.spectral.reflectance import to_collection1
from timesync_xr.spectral.styles import (
    Styles,
    channel_values,
    draw,
    draw_each,
    read_styles,
    with_percentiles,
)


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
    with pytest.raises(ProjectError, match="was made with composites"):
        extract(
            sample.plots, tmp_path, Archive(sample.items), products=Products(chip_size=(61, 61))
        )
    assert chip.exists()
    assert len(render(project / "cubes", tmp_path, progress=False)) == 0
    with pytest.raises(InputError, match="is the project whose cubes are drawn"):
        render(project / "cubes", project / "direct" / ".." / "cubes")


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


def test_what_the_project_lost_is_removed_and_what_is_new_is_added(
    sample: SamplePaths, tmp_path: Path
) -> None:
    """Other filters and a longer time; the result is that of rendering it all at once."""
    plots = tmp_path / "plots.csv"
    plots.write_text("\n".join(sample.plots.read_text().splitlines()[:2]))
    archive = Archive(sample.items, mirror=f"s3://usgs-landsat-ard={sample.folder}")
    products = Products("zarr", chip_size=5)
    for select in (Selection("../2012"), Selection(season="06-01/08-31")):
        extract(plots, tmp_path / "p", archive, select, products, progress=False)
        render(tmp_path / "p", tmp_path / "again", formats="csv", progress=False)
    render(tmp_path / "p", tmp_path / "again", formats="png", progress=False)
    render(tmp_path / "p", tmp_path / "once", progress=False)
    assert contract(tmp_path / "again") == contract(tmp_path / "once")
    assert Project(str(tmp_path / "again")).plots["products"].tolist() == ["png,csv"]


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


def test_the_usual_composites_are_drawn_as_ever() -> None:
    cube = cube_of(np.random.default_rng(2).integers(0, 2**16, (2, 7, 5, 5), dtype=np.uint16))
    for name in COMPOSITES:
        assert (draw(cube, Styles().composite(name)) == composite_rgb(cube, name)).all()
    fill = cube.copy()
    fill[:, 0] = 0
    assert not draw(fill, Styles().composite("ndvi")).any()
