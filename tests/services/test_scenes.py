"""Scenes as Planetary Computer gives them: found in a real pgstac, read from a real blob store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.making import make
from tests.run.test_scenes import CAPE, JURA, fresh
from tests.scenes import BLOB, SceneArchive
from tests.services.azurite import Azurite, Tokens, azurite, serving_tokens
from tests.services.pgstac import stac_api
from tests.tally import shows
from timesync_xr import Archive, verify
from timesync_xr.catalog.scenes import PC_SCENES
from timesync_xr.errors import TimesyncError
from timesync_xr.grid import DEGREES, transformer
from timesync_xr.raster import reader

__all__ = ["fresh"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SceneArchive:
    """Two places in two hemispheres; of one two rows of a pass and a path of the next zone."""
    archive = SceneArchive(tmp_path_factory.mktemp("scenes"))
    for (lon, lat), zone, path, rows in ((JURA, 32, 195, (27, 28)), (CAPE, 34, 175, (83,))):
        x, y = map(round, transformer(DEGREES, f"EPSG:{32600 + zone}").transform(lon, lat))
        for n, day in enumerate(("2020-07-01", "2020-07-17", "2020-08-02")):
            for late, row in enumerate(rows):
                center = x + n * 90, y + 2000 - 6000 * late
                time, where = f"{day}T10:10:{late:02d}Z", (path, row, zone)
                archive.add("LC08", time, where, center, size=(700 + n, 600))
    x, y = transformer(DEGREES, "EPSG:32631").transform(*JURA)
    archive.add("LC09", "2022-07-10T10:16:00Z", (196, 27, 31), (round(x), round(y)))
    archive.write_items()
    archive.write_plots(JURA, CAPE)
    return archive


@pytest.fixture(scope="module")
def api(made: SceneArchive) -> Iterator[str]:
    with stac_api(made.items, collection="landsat-c2-l2") as url:
        yield url


@pytest.fixture(scope="module")
def store(made: SceneArchive, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with azurite(tmp_path_factory.mktemp("azurite")) as server:
        server.upload(made.folder)
        yield server


def use(monkeypatch: pytest.MonkeyPatch, tokens: Tokens, store: Azurite) -> None:
    for name, value in tokens.environment(store).items():
        monkeypatch.setenv(name, value)


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in (folder / "prj_p").rglob("*")
        if path.is_file() and path.name != "zarr.json"  # which says what was read from where
    }


def test_the_store_is_real(made: SceneArchive, store: Azurite) -> None:
    """It refuses who has no signature, one that has ended, and one of another."""
    key = next(made.folder.rglob("*.TIF")).relative_to(made.folder).as_posix()
    url = f"{store.url}/landsat-c2/{key}"
    good, ended = store.signature(60)[0], store.signature(-60)[0]
    assert requests.get(f"{url}?{good}", timeout=20).status_code == 200
    for query in ("", f"?{ended}", f"?{good[:-9]}AAAAAA%3D"):
        assert requests.get(url + query, timeout=20).status_code in (403, 404, 409)


def test_what_is_found_and_read_is_what_lies_in_the_folder(
    made: SceneArchive, api: str, store: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plots, everything = made.folder / "plots.csv", {"formats": "png,csv,zarr"}
    local = Archive(made.folder / "items.json", mirror=f"{BLOB}={made.folder}")
    assert make(plots, tmp_path / "local", local, **everything).complete
    with serving_tokens(store, 600) as tokens:
        use(monkeypatch, tokens, store)
        summary = make(plots, tmp_path / "far", Archive(api, PC_SCENES), **everything)
    assert summary.complete
    assert len(tokens.given) == 1
    assert files(tmp_path / "far") == files(tmp_path / "local")
    assert len(files(tmp_path / "far")) > 20
    assert verify(tmp_path / "far").empty
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"sig=" not in kept


@shows("an expired token", "archive")
def test_signatures_that_end_in_the_middle_cost_nothing(
    made: SceneArchive, api: str, store: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store's own clock ends them, not a stand-in's."""
    with serving_tokens(store, 2) as tokens:
        use(monkeypatch, tokens, store)
        number = 0
        while len(tokens.given) < 4:
            reader.reset()
            number += 1
            made_of = made.folder / "plots.csv", tmp_path / str(number), Archive(api, PC_SCENES)
            assert make(*made_of, formats="csv").complete
    assert files(tmp_path / "1") == files(tmp_path / str(number))


def test_a_signature_of_another_key_ends_the_run_and_is_shown_nowhere(
    made: SceneArchive, api: str, store: Azurite, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with serving_tokens(store, 600) as tokens:
        use(monkeypatch, tokens, store)
        right = store.signature
        monkeypatch.setattr(
            store, "signature", lambda life: (right(life)[0][:-9] + "AAAAAA%3D", right(life)[1])
        )
        with pytest.raises(TimesyncError) as told:
            make(made.folder / "plots.csv", tmp_path / "out", Archive(api, PC_SCENES))
    assert "landsateuwest" in str(told.value)
    out = "".join(capsys.readouterr()) + str(told.value)
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert "sig=" not in out
    assert b"sig=" not in kept
