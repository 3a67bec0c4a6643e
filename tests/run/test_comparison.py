"""Sources side by side, of servers that stand in for them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from tests.catalog.test_uncounted import Server, serving_search
from tests.run.test_scenes import JURA, middle
from tests.scenes import SceneArchive
from timesync_xr import Archive, compare_sources, plan
from timesync_xr.catalog import stac
from timesync_xr.catalog.archive import CATALOGS, Catalog
from timesync_xr.cli.main import main
from timesync_xr.errors import InputError, PlotListError
from timesync_xr.landsat import BANDS

DAYS = ("2020-07-01", "2020-07-17", "2020-08-02")


def scenes_at(folder: Path, style: str, days: tuple[str, ...]) -> SceneArchive:
    scenes = SceneArchive(folder, style)
    for day in days:
        scenes.add("LC08", f"{day}T10:10:00Z", (195, 27, 32), middle(JURA, 32), size=(300, 300))
    return scenes


@pytest.mark.deep
def test_sources_stand_side_by_side_and_the_cheapest_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One lacks a day, one is dear, one is out of reach, one ends at a border."""
    usgs = scenes_at(tmp_path / "usgs", "usgs", DAYS)
    pc = scenes_at(tmp_path / "pc", "pc", DAYS[:2])
    es = scenes_at(tmp_path / "es", "es", DAYS)
    plots = usgs.write_plots(JURA)
    monkeypatch.setattr(stac, "Patience", partial(stac.Patience, tries=2))
    with (
        serving_search(Server(usgs.items, counts=True)) as one,
        serving_search(Server(es.items, counts=True)) as other,
    ):
        for name, url in (("landsatlook-scenes", one.url), ("earth-search", other.url)):
            monkeypatch.setitem(CATALOGS, name, Catalog(url, CATALOGS[name].source))
        gone = Catalog("http://127.0.0.1:9", CATALOGS["planetary-computer"].source)
        monkeypatch.setitem(CATALOGS, "planetary-computer", gone)
        out = tmp_path / "sources.csv"
        command = ["plan", str(plots), "--compare", "--source", str(pc.write_items())]
        done = CliRunner().invoke(main, [*command, "--table", str(out)])
        alone = plan(plots, Archive("earth-search"))
    assert done.exit_code == 0, done.output
    table = pd.read_csv(out).set_index("source").to_dict("list")
    free = str(pc.folder / "items.json")
    assert pd.read_csv(out)["source"].tolist() == ["landsatlook-scenes", free, "earth-search"]
    assert table["observations"] == [3, 2, 3]
    assert table["items"] == [3, 2, 3]
    assert table["lacking"] == [0, 1, 0]
    assert table["requests"][2] == alone.requests
    paid = alone.requests * 0.0004 / 1000
    assert table["usd"] == pytest.approx([0, 0, paid])
    assert table["usd_elsewhere"] == pytest.approx([0, 0, paid + alone.gigabytes * 0.09])
    assert alone.headers == 3 * len(BANDS)
    text = done.output
    assert "Cheapest: landsatlook-scenes, 0.00 USD (free" in text
    assert "planetary-computer   left out: http://127.0.0.1:9" in text
    assert "landsatlook          left out: line 2" in text
    assert "Known of landsatlook-scenes: some files that USGS has are missing" in text


def test_what_no_source_can_do_is_an_error(tmp_path: Path) -> None:
    scenes = scenes_at(tmp_path, "pc", DAYS[:1])
    (tmp_path / "bad.csv").write_text("project_id,plot_id,lon,lat\np,1,200,91\n")
    with pytest.raises(PlotListError):
        compare_sources(tmp_path / "bad.csv", sources=[str(scenes.write_items())])
    with pytest.raises(InputError, match="no sources to compare"):
        compare_sources(scenes.write_plots(JURA), sources=[])
    done = CliRunner().invoke(
        main, ["plan", str(scenes.write_plots(JURA)), "--compare", "--out", str(tmp_path / "out")]
    )
    assert done.exit_code == 2
    assert "--compare keeps no items" in done.output
