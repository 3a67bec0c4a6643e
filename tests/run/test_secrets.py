"""Secrets that are planted wherever they could be are nowhere afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import xarray as xr

from tests.archive import BUCKET, SmallArchive
from tests.faults import Proxy, status
from tests.servers import file_server, stac_server
from timesync_xr.catalog.files import read_items
from timesync_xr.grid import REGIONS

INSIDE = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)
SECRETS = ("hunter2", "AKIDPLANTED", "planted/secret", "planted-session")
SIGNED = "https://a.example.org/{}.TIF?X-Amz-Signature=hunter2&X-Amz-Credential=AKIDPLANTED%2F2020"
SAS = "https://a.blob.example.org/c/x y.TIF?sv=2020&se=2030&sig=hunter2%3D#hunter2"


@pytest.fixture
def archive(tmp_path: Path) -> SmallArchive:
    archive = SmallArchive(tmp_path / "archive")
    for month in range(1, 6):
        item = archive.add("LC08", f"2020-{month:02d}-01T18:30:00.5Z")
        item["geometry"] = {"type": "Point", "coordinates": [-120.0, 38.0]}
        item["bbox"] = [-120.0, 38.0, -120.0, 38.0]
        item["links"] = [{"rel": "self", "href": "https://api.example.org/i?token=hunter2"}]
        item["assets"]["thumbnail"] = {"href": SAS, "storage:token": "hunter2"}
    first, second, third, fourth, _ = (item["assets"] for item in archive.items)
    first["blue"] = {"href": SIGNED.format("blue")}
    second["red"] = {"href": "https://me:hunter2@a.example.org/x.TIF"}
    third["qa_pixel"]["alternate"]["s3"]["href"] = (
        "s3://AKIDPLANTED:hunter2@bucket/x.TIF?sig=hunter2"
    )
    fourth["nir08"] = {"href": SAS}
    archive.items[0]["properties"]["note"] = f"made of {SAS}"
    archive.items[0]["properties"]["auth"] = {"password": "hunter2", "account_key": "hunter2"}
    archive.add("LC08", "2020-06-01T18:30:00.5Z", write=False)["properties"]["proj:wkt2"] = SAS
    (tmp_path / "plots.csv").write_text(f"project_id,plot_id,x,y\np,1,{INSIDE[0]},{INSIDE[1]}\n")
    return archive


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ, "AWS_ACCESS_KEY_ID": "AKIDPLANTED", "AWS_SESSION_TOKEN": "planted-session",
        "AWS_SECRET_ACCESS_KEY": "planted/secret", "TIMESYNC_XR_RETRY_SECONDS": "1",
        "MPLBACKEND": "agg",
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "timesync_xr", "--verbose", "--debug", *arguments],
        capture_output=True, check=False, timeout=120, text=True, env=environment,
    )  # fmt: skip


def texts(folder: Path) -> dict[str, str]:
    """All that a folder holds, also what is compressed in it."""
    found = {}
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        found[str(path)] = path.read_bytes().decode("latin-1")
        if path.suffix == ".parquet":
            table: Any = pq.read_table(path)
            found[f"{path} decoded"] = f"{table.schema.metadata} {table.to_pylist()}"
    for path in folder.rglob("*.zarr"):
        cube = xr.open_zarr(path, chunks=None).drop_vars("digital_number")
        found[f"{path} decoded"] = (
            f"{cube.attrs} {[v.values.tolist() for v in cube.variables.values()]}"
        )
    return found


@pytest.mark.parametrize("code", [0, 403, pytest.param(503, marks=pytest.mark.deep)])
@pytest.mark.deep
def test_planted_secrets_are_nowhere(archive: SmallArchive, tmp_path: Path, code: int) -> None:
    """In addresses, items, the environment, and in what a server says."""
    body = f"<Error><Message>{' '.join(SECRETS)}</Message></Error>".encode()
    out, plots = tmp_path / "out", str(tmp_path / "plots.csv")
    with (
        stac_server(archive.items) as api,
        file_server(archive.folder) as files,
        Proxy(files, lambda _: status(code, body=body) if code else None) as proxy,
    ):
        arguments = [
            "extract", plots, "--out", str(out), "--products", "png,csv,zarr", "--chip-size", "9",
            "9", "--source", f"http://me:hunter2@127.0.0.1:{api}/?api_key=hunter2", "--mirror",
            f"{BUCKET}=http://me:hunter2@127.0.0.1:{proxy.port}",
        ]  # fmt: skip
        said = [command(*arguments)]
        if code == 0:
            said.append(command(*arguments))
    assert {done.returncode for done in said} == {1}, said[0].stderr
    if code == 0:
        said.append(command("observations", str(out), "--out", str(out / "table.parquet")))
        said.append(command("browse", str(out)))
    found = texts(out) | {"said": "".join(done.stdout + done.stderr for done in said)}
    assert "POST /search" in found["said"]
    for place, text in found.items():
        assert not [secret for secret in SECRETS if secret in text], place
    if code == 0:
        account = pd.read_csv(out / "ledger/observations/prj_p/plot_1.csv", dtype=str)
        assert account["outcome"].tolist() == ["failed"] * 4 + ["written", "refused"]
        refused = "this address is refused: it carries credentials or a query"
        assert account["cause"][:4].str.contains(refused).all()
        kept = read_items(out / "ledger/items/CU_h03v09_items.json")
        assert kept[0]["assets"]["blue"]["href"] == "https://a.example.org/blue.TIF?"
        assert kept[0]["assets"]["red"] == archive.items[0]["assets"]["red"]


@pytest.mark.deep
def test_items_without_their_secrets_serve_to_go_on(archive: SmallArchive, tmp_path: Path) -> None:
    """Once a mirror stands in for what was signed, the project is finished from what was kept."""
    out, plots = tmp_path / "out", str(tmp_path / "plots.csv")
    for item, band in zip(archive.items, ("blue", "red", "", "nir08"), strict=False):
        if band:
            name = item["id"].removesuffix("_SR")
            path = f"ard/{name}/{name}_{ {'blue': 'SR_B1'}.get(band, band) }.TIF"
            item["assets"][band] = {"href": f"https://a.example.org/{path}?sig=hunter2"}
    archive.items[2]["assets"]["qa_pixel"] = archive.items[3]["assets"]["qa_pixel"]
    del archive.items[2], archive.items[-1]
    with stac_server(archive.items) as api:
        arguments = [
            "extract", plots, "--out", str(out), "--chip-size", "9", "9", "--source",
            f"http://127.0.0.1:{api}", "--mirror", f"{BUCKET}={archive.folder}",
        ]  # fmt: skip
        assert command(*arguments).returncode == 1
    done = command(*arguments, "--mirror", f"https://a.example.org={archive.folder}")
    assert done.returncode == 0, done.stderr
    assert "4 observations: 4 written" in done.stdout
