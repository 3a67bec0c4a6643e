"""The whole job over real services: STAC API and S3 in, S3 out, with faults and kills."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests import faults
from tests.archive import BUCKET, Archive
from tests.faults import Fault, Proxy, Request, status
from tests.services.pgstac import stac_api
from tests.services.s3 import KEY, S3, SECRET
from timesync_xr import extract, read_account, read_ledger, reader
from timesync_xr.access import Access
from timesync_xr.errors import AccessError, ProjectError
from timesync_xr.grid import REGIONS

NOON = "T18:30:00.1234567Z"
INSIDE = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)
USGS = "usgs-landsat-ard"
KEPT = ("prj_", "ledger/observations/", "ledger/plots.csv")


def run(plots: Path, out: object, **options: Any) -> Any:
    settings: dict[str, Any] = {"chip_size": (9, 9), "progress": False}
    settings["products"] = ("png", "csv")
    return extract(plots, str(out), **settings | options)


def on_disk(out: Path) -> dict[str, bytes]:
    paths = {p.relative_to(out).as_posix(): p for p in out.rglob("*") if p.is_file()}
    return {name: path.read_bytes() for name, path in paths.items() if name.startswith(KEPT)}


def in_bucket(s3: S3, bucket: str, prefix: str) -> dict[str, bytes]:
    found = s3.contents(bucket, prefix)
    return {name: data for name, data in found.items() if name.startswith(KEPT)}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, s3: S3) -> Archive:
    archive = Archive(tmp_path_factory.mktemp("archive"))
    for month in range(1, 5):
        archive.add("LC08", f"2020-{month:02d}-01{NOON}")
    archive.write_items()
    s3.upload(archive.folder, USGS)
    return archive


@pytest.fixture(scope="module")
def plots(archive: Archive) -> Path:
    x, y = INSIDE
    path = archive.folder / "plots.csv"
    lines = [f"1211,{n},{x + 300 * n},{y}" for n in range(5)]
    path.write_text("\n".join(["project_id,plot_id,x,y", *lines]))
    return path


@pytest.fixture(scope="module")
def whole(
    archive: Archive, plots: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("whole")
    run(plots, out, source=str(archive.folder / "items.json"), mirror=archive.mirror)
    return on_disk(out)


@pytest.fixture
def options(archive: Archive, paying: Proxy) -> dict[str, Any]:
    return {"source": str(archive.folder / "items.json"), "access": Access(endpoint=paying.url)}


def test_s3_in_and_s3_out_give_what_files_give(
    s3: S3,
    bucket: str,
    plots: Path,
    whole: dict[str, bytes],
    options: dict[str, Any],
    paying: Proxy,
) -> None:
    """The requester pays where the archive is read, and another way leads to the output."""
    out = f"s3://{bucket}/a/b"
    assert run(plots, out, out_access=s3.access(), **options).complete
    assert in_bucket(s3, bucket, "a/b/") == whole
    assert not paying.spoilt
    assert len(read_ledger(out, s3.access())) == 5
    assert len(read_account(out, "1211", "0", s3.access())) == 4
    before = s3.objects(bucket, "a/b/prj_")
    assert run(plots, out, out_access=s3.access(), **options).already == 5
    assert s3.objects(bucket, "a/b/prj_") == before
    reader.reset()
    with pytest.raises(AccessError, match="denies access"):
        run(plots, f"s3://{bucket}/c", out_access=s3.access(),
            **options | {"access": Access(endpoint=paying.url, requester_pays=False)})  # fmt: skip


def test_mirrors_may_be_a_bucket(
    s3: S3, plots: Path, whole: dict[str, bytes], archive: Archive, tmp_path: Path
) -> None:
    s3.upload(archive.folder, "copy", "deep/")
    for path in archive.folder.rglob("*.json"):
        items = str(path)
    access = Access(endpoint=s3.url, requester_pays=False)
    run(plots, tmp_path, source=items, mirror=f"{BUCKET}=s3://copy/deep", access=access)
    assert on_disk(tmp_path) == whole


def test_credentials_come_from_a_profile_for_each_side(
    s3: S3, bucket: str, plots: Path, whole: dict[str, bytes], options: dict[str, Any],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paying: Proxy,
) -> None:  # fmt: skip
    file = tmp_path / "credentials"
    file.write_text(
        f"[in]\naws_access_key_id={KEY}\naws_secret_access_key={SECRET}\n"
        f"[out]\naws_access_key_id={KEY}\naws_secret_access_key={SECRET}\n"
        "[wrong]\naws_access_key_id=nobody\naws_secret_access_key=nothing\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    options["access"] = Access(endpoint=paying.url, profile="in")
    out = f"s3://{bucket}/p"
    assert run(plots, out, out_access=s3.access(profile="out"), **options).complete
    assert in_bucket(s3, bucket, "p/") == whole
    with pytest.raises(AccessError, match=r"access key is unknown.*--out-profile"):
        run(plots, f"s3://{bucket}/q", out_access=s3.access(profile="wrong"), **options)


def test_without_credentials_the_message_says_what_to_set(
    s3: S3, plots: Path, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
    started = time.monotonic()
    with pytest.raises(AccessError, match=r"no AWS credentials were found.*AWS_ACCESS_KEY_ID"):
        run(plots, tmp_path, **options)
    assert time.monotonic() - started < 30


def test_unsigned_reads_a_bucket_that_is_open_to_all(
    s3: S3, plots: Path, options: dict[str, Any], whole: dict[str, bytes], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, paying: Proxy, archive: Archive,
) -> None:  # fmt: skip
    s3.upload(archive.folder, "open")
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
                 "Resource": "arn:aws:s3:::open/*"}  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    s3.client().put_bucket_policy(Bucket="open", Policy=policy)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    options["access"] = Access(endpoint=s3.url, unsigned=True)
    run(plots, tmp_path, mirror=f"{BUCKET}=s3://open", **options)
    assert on_disk(tmp_path) == whole


RETRY = ("Retry-After", "1")
TARGET = {
    "429": status(429),
    "500": status(500),
    "503 with Retry-After": status(503, RETRY),
    "504": status(504),
    "reset": faults.Reset(),
    "truncated body": faults.Truncated(),
    "stalled body": faults.Stalled(3.0),
}


@pytest.mark.parametrize("name", TARGET)
def test_faults_of_the_output_that_pass_are_waited_out(
    s3: S3, bucket: str, plots: Path, whole: dict[str, bytes], options: dict[str, Any],
    proxy: Proxy, name: str,
) -> None:  # fmt: skip
    proxy.rule = lambda request: TARGET[name] if request.number % 9 == 0 else None
    access = s3.access(endpoint=proxy.url, timeout_seconds=1.0)
    assert run(plots, f"s3://{bucket}/p", out_access=access, **options).complete
    assert in_bucket(s3, bucket, "p/") == whole
    assert len(proxy.spoilt) >= 5


def test_an_output_that_fails_for_good_ends_the_run_soon(
    s3: S3, bucket: str, plots: Path, whole: dict[str, bytes], options: dict[str, Any], proxy: Proxy
) -> None:
    access = s3.access(endpoint=proxy.url, max_retries=1)
    for code, words in ((403, "denies access"), (503, "503"), (507, "no room left")):

        def rule(request: Request, code: int = code) -> Fault | None:
            late = request.method == "PUT" and "prj_" in request.path and request.number > 20
            return status(code) if late else None

        proxy.rule = rule
        proxy.requests.clear()
        with pytest.raises(AccessError, match=words):
            run(plots, f"s3://{bucket}/p", out_access=access, **options)
        assert len(proxy.requests) < 200
    proxy.rule = lambda _: None
    assert run(plots, f"s3://{bucket}/p", out_access=access, **options).complete
    assert in_bucket(s3, bucket, "p/") == whole


def test_killed_while_it_writes_to_a_bucket(
    s3: S3, bucket: str, plots: Path, whole: dict[str, bytes], archive: Archive
) -> None:
    """SIGKILL in 30 runs: what is there is whole, and in the end it is as if they never were."""
    dice, kills, number = random.Random(7), 0, 0
    command = [sys.executable, "-m", "timesync_xr", "extract", str(plots), "--source",
               str(archive.folder / "items.json"), "--endpoint", s3.url, "--out-endpoint", s3.url,
               "--chip-size", "9", "9", "--products", "png,csv", "--out"]  # fmt: skip
    while kills < 30:
        process = subprocess.Popen([*command, f"s3://{bucket}/{number}"], stderr=subprocess.PIPE)
        end = time.monotonic() + dice.uniform(1.0, 3.0)
        while process.poll() is None and time.monotonic() < end:
            with contextlib.suppress(ProjectError):  # it may not have begun
                read_ledger(f"s3://{bucket}/{number}", s3.access())
            time.sleep(0.05)
        done = process.poll() is not None
        process.kill()
        process.communicate()
        kills += not done
        made = in_bucket(s3, bucket, f"{number}/")
        assert all(made[name] == whole[name] for name in made if name.startswith("prj_"))
        if done:
            assert process.returncode == 0
            assert made == whole
            number += 1
    plots_done: set[str] = set()
    with contextlib.suppress(ProjectError):
        plots_done = set(read_ledger(f"s3://{bucket}/{number}", s3.access())["plot_id"])
    before = s3.objects(bucket, f"{number}/prj_1211/")
    subprocess.run([*command, f"s3://{bucket}/{number}"], check=True)
    assert in_bucket(s3, bucket, f"{number}/") == whole
    after = s3.objects(bucket, f"{number}/prj_1211/")
    again = {name for name, value in before.items() if value != after[name]}
    assert not {name for name in again if any(f"plot_{p}_" in name for p in plots_done)}
    assert not [n for n in s3.objects(bucket, f"{number}/ledger/") if n.startswith(("tmp", "lock"))]


@pytest.fixture
def golden_api(shared: Path, s3: S3, name: str) -> Iterator[str]:
    """An API over a golden archive, whose files lie in a bucket."""
    s3.upload(shared / "golden" / name, f"golden-{name}")
    items = json.loads((shared / "golden" / name / "items.json").read_text())["features"]
    with stac_api(items) as url:
        yield url


@pytest.mark.parametrize("name", ["real", "mosaic"])
def test_golden_output_through_api_and_s3(
    golden_api: str, shared: Path, s3: S3, bucket: str, paying: Proxy, tmp_path: Path,
    name: str,
) -> None:  # fmt: skip
    command = [sys.executable, "-m", "timesync_xr", "extract",
               str(shared / "golden" / name / "plots.csv"), "--source", golden_api,
               "--mirror", f"{BUCKET}=s3://golden-{name}", "--endpoint", paying.url,
               "--out", f"s3://{bucket}/{name}", "--out-endpoint", s3.url,
               "--products", "png,csv"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ}, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    made = s3.contents(bucket, f"{name}/")
    expected = shared / "golden" / f"{name}_expected"
    files = {p.relative_to(expected).as_posix(): p for p in expected.rglob("*") if p.is_file()}
    assert {n for n in made if n.startswith("prj_")} == set(files)
    for path, file in files.items():
        if path.endswith(".csv"):
            assert made[path] == file.read_bytes()
        else:
            copy = tmp_path / "chip.png"
            copy.write_bytes(made[path])
            assert (np.asarray(Image.open(copy)) == np.asarray(Image.open(file))).all()
