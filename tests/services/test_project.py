"""The whole job over real services: STAC API and S3 in, S3 out, with faults and kills."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.archive import BUCKET, SmallArchive
from tests.faults import PASSING, Fault, Proxy, Request, status
from tests.servers import file_server
from tests.services.pgstac import stac_api
from tests.services.s3 import KEY, S3, SECRET
from tests.tally import counts, shows
from timesync_xr import Archive, Products, Project, Summary, extract
from timesync_xr.errors import AccessError, ProjectError
from timesync_xr.grid import REGIONS
from timesync_xr.plots import read_plots
from timesync_xr.raster import reader
from timesync_xr.sample import SamplePaths
from timesync_xr.storage import access

NOON = "T18:30:00.1234567Z"
INSIDE = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)
USGS = "usgs-landsat-ard"
DEFAULT = access.S3()
KEPT = ("prj_", "ledger/observations/", "ledger/plots.csv")


def run(
    plots: Path, out: str | Path, source: Archive, s3: access.S3 = DEFAULT, *, refresh: bool = False
) -> Summary:
    project, products = Project(out, s3), Products(chip_size=(9, 9))
    return extract(plots, project, source, products=products, refresh=refresh, progress=False)


def on_disk(out: Path) -> dict[str, bytes]:
    paths = {p.relative_to(out).as_posix(): p for p in out.rglob("*") if p.is_file()}
    return {name: path.read_bytes() for name, path in paths.items() if name.startswith(KEPT)}


def in_bucket(s3: S3, bucket: str, prefix: str) -> dict[str, bytes]:
    found = s3.contents(bucket, prefix)
    return {name: data for name, data in found.items() if name.startswith(KEPT)}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, s3: S3) -> SmallArchive:
    archive = SmallArchive(tmp_path_factory.mktemp("archive"))
    for month in range(1, 5):
        archive.add("LC08", f"2020-{month:02d}-01{NOON}")
    archive.write_items()
    s3.upload(archive.folder, USGS)
    return archive


@pytest.fixture(scope="module")
def plots(archive: SmallArchive) -> Path:
    x, y = INSIDE
    path = archive.folder / "plots.csv"
    lines = [f"1211,{n},{x + 300 * n},{y}" for n in range(5)]
    path.write_text("\n".join(["project_id,plot_id,x,y", *lines]))
    return path


@pytest.fixture(scope="module")
def whole(
    archive: SmallArchive, plots: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("whole")
    run(plots, out, Archive(archive.folder / "items.json", mirror=archive.mirror))
    return on_disk(out)


@pytest.fixture
def source(archive: SmallArchive, paying: Proxy) -> Archive:
    return Archive(archive.folder / "items.json", s3=access.S3(endpoint=paying.url))


def test_s3_in_and_s3_out_give_what_files_give(
    s3: S3,
    bucket: str,
    plots: Path,
    whole: dict[str, bytes],
    source: Archive,
    paying: Proxy,
) -> None:
    """The requester pays where the archive is read, and another way leads to the output."""
    out = f"s3://{bucket}/a/b"
    assert run(plots, out, source, s3.options()).complete
    assert in_bucket(s3, bucket, "a/b/") == whole
    assert not paying.spoilt
    assert len(Project(out, s3.options()).plots) == 5
    assert len(Project(out, s3.options()).log(("1211", "0"))) == 4
    before = s3.objects(bucket, "a/b/prj_")
    assert run(plots, out, source, s3.options()).already == 5
    assert s3.objects(bucket, "a/b/prj_") == before
    reader.reset()
    stingy = replace(source, s3=access.S3(endpoint=paying.url, requester_pays=False))
    with pytest.raises(AccessError, match="denies access"):
        run(plots, f"s3://{bucket}/c", stingy, s3.options())


def test_mirrors_may_be_a_bucket(
    s3: S3, plots: Path, whole: dict[str, bytes], archive: SmallArchive, tmp_path: Path
) -> None:
    s3.upload(archive.folder, "copy", "deep/")
    for path in archive.folder.rglob("*.json"):
        items = path
    s3_options = access.S3(endpoint=s3.url, requester_pays=False)
    run(plots, tmp_path, Archive(items, mirror=f"{BUCKET}=s3://copy/deep", s3=s3_options))
    assert on_disk(tmp_path) == whole


def test_credentials_come_from_a_profile_for_each_side(
    s3: S3, bucket: str, plots: Path, whole: dict[str, bytes], source: Archive,
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
    source = replace(source, s3=access.S3(endpoint=paying.url, profile="in"))
    out = f"s3://{bucket}/p"
    assert run(plots, out, source, s3.options(profile="out")).complete
    assert in_bucket(s3, bucket, "p/") == whole
    with pytest.raises(AccessError, match=r"access key is unknown.*--out-profile"):
        run(plots, f"s3://{bucket}/q", source, s3.options(profile="wrong"))


@shows("no credentials", "archive", "output")
def test_without_credentials_the_message_says_what_to_set(
    s3: S3, plots: Path, source: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
    started = time.monotonic()
    for out in (tmp_path, "s3://some/where"):
        with pytest.raises(AccessError, match=r"no credentials were found.*AWS_ACCESS_KEY_ID"):
            run(plots, out, source, s3.options())
    assert time.monotonic() - started < 30


def test_unsigned_reads_a_bucket_that_is_open_to_all(
    s3: S3, plots: Path, source: Archive, whole: dict[str, bytes], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, paying: Proxy, archive: SmallArchive,
) -> None:  # fmt: skip
    s3.upload(archive.folder, "open")
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
                 "Resource": "arn:aws:s3:::open/*"}  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    s3.client().put_bucket_policy(Bucket="open", Policy=policy)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    public = access.S3(endpoint=s3.url, unsigned=True)
    run(plots, tmp_path, replace(source, mirror=f"{BUCKET}=s3://open", s3=public))
    assert on_disk(tmp_path) == whole


def every(step: int, fault: Callable[[], Fault]) -> Callable[[Request], Fault | None]:
    """A rule that spoils every so many requests, and the first that read."""
    read = 0

    def rule(request: Request) -> Fault | None:
        nonlocal read
        read += request.method == "GET"
        spoilt = request.number % step == 0 or (request.method == "GET" and read <= 3)
        return fault() if spoilt else None

    return rule


@shows(PASSING, "output")
@pytest.mark.parametrize("name", PASSING)
def test_faults_of_the_output_that_pass_are_waited_out(
    s3: S3, bucket: str, plots: Path, whole: dict[str, bytes], source: Archive,
    proxy: Proxy, name: str,
) -> None:  # fmt: skip
    """In a run that makes all, and in one that finds some of it missing."""
    there = s3.options(endpoint=proxy.url, timeout_seconds=1.0)
    for number in range(2):
        proxy.rule = every(9, PASSING[name])
        assert run(plots, f"s3://{bucket}/p", source, there).complete
        assert in_bucket(s3, bucket, "p/") == whole
        assert len(proxy.spoilt) >= 5 + number
        for plot in "24":
            key = f"p/ledger/observations/prj_1211/plot_{plot}.csv"
            s3.client().delete_object(Bucket=bucket, Key=key)
        s3.client().delete_object(Bucket=bucket, Key="p/ledger/plots.csv")


@shows("another service away", "one asset")
def test_an_item_that_lies_elsewhere_stops_nothing(
    s3: S3, plots: Path, whole: dict[str, bytes], archive: SmallArchive, tmp_path: Path
) -> None:
    """One lacks its address in the bucket; one names a bucket that is not there."""
    items = copy.deepcopy(archive.items)
    del items[0]["assets"]["red"]["alternate"]
    items[1]["assets"]["red"]["alternate"]["s3"]["href"] = "s3://no-such-bucket/x.TIF"
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"features": items}))
    s3_options = access.S3(endpoint=s3.url, requester_pays=False, max_retries=2)
    out, source = tmp_path / "out", Archive(path, mirror=f"{BUCKET}=s3://{USGS}", s3=s3_options)
    summary = run(plots, out, source)
    assert summary.rows["failed"].tolist() == [2] * 5
    assert summary.rows["written"].tolist() == [2] * 5
    log = Project(out).log(("1211", "0"))
    causes = log.loc[log["outcome"] == "failed", "cause"].tolist()
    assert "landsatlook.usgs.gov" in causes[0]
    assert "there is no such bucket" in causes[1]
    items_whole = archive.folder / "whole.json"
    items_whole.write_text(json.dumps({"features": archive.items}))
    again = run(plots, out, replace(source, items=items_whole), refresh=True)
    assert again.complete
    made = on_disk(out)  # its logs name two files of items
    assert made.keys() == whole.keys()
    assert all(made[name] == whole[name] for name in made if name.startswith("prj_"))


@shows(["no DNS", "connection refused"], "output")
@pytest.mark.parametrize("address", ["http://no-such-host.invalid", "http://127.0.0.1:9"])
def test_an_output_out_of_reach_is_told_before_anything_is_read(
    s3: S3, plots: Path, source: Archive, paying: Proxy, address: str
) -> None:
    there = s3.options(endpoint=address, max_retries=2)
    with pytest.raises(AccessError, match=r"s3://out.*can't be reached"):
        run(plots, "s3://out/p", source, there)
    assert not paying.requests


@shows(["401", "403", "a fault that stays", "507"], "output")
def test_an_output_that_fails_for_good_ends_the_run_soon(
    s3: S3, bucket: str, plots: Path, whole: dict[str, bytes], source: Archive, proxy: Proxy
) -> None:
    there = s3.options(endpoint=proxy.url, max_retries=1)
    told = {401: "denies access", 403: "denies access", 503: "503", 507: "no room left"}
    for code, words in told.items():

        def rule(request: Request, code: int = code) -> Fault | None:
            late = request.method == "PUT" and "prj_" in request.path and request.number > 20
            return status(code) if late else None

        proxy.rule = rule
        proxy.requests.clear()
        with pytest.raises(AccessError, match=words):
            run(plots, f"s3://{bucket}/p", source, there)
        assert len(proxy.requests) < 200
    proxy.rule = lambda _: None
    assert run(plots, f"s3://{bucket}/p", source, there).complete
    assert in_bucket(s3, bucket, "p/") == whole


@shows("SIGKILL", "run")
def test_killed_while_it_writes_to_a_bucket(
    s3: S3, bucket: str, plots: Path, whole: dict[str, bytes], archive: SmallArchive
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
                _ = Project(f"s3://{bucket}/{number}", s3.options()).plots
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
    counts["runs killed"] += kills
    plots_done: set[str] = set()
    with contextlib.suppress(ProjectError):
        plots_done = set(Project(f"s3://{bucket}/{number}", s3.options()).plots["plot_id"])
    before = s3.objects(bucket, f"{number}/prj_1211/")
    subprocess.run([*command, f"s3://{bucket}/{number}"], check=True)
    assert in_bucket(s3, bucket, f"{number}/") == whole
    after = s3.objects(bucket, f"{number}/prj_1211/")
    again = {name for name, value in before.items() if value != after[name]}
    assert not {name for name in again if any(f"plot_{p}_" in name for p in plots_done)}
    assert not [n for n in s3.objects(bucket, f"{number}/ledger/") if n.startswith(("tmp", "lock"))]


def test_the_sample_through_all_services(
    sample: SamplePaths, sample_project: Path, s3: S3, bucket: str, paying: Proxy, tmp_path: Path
) -> None:
    """API and bucket in, bucket out; then the same archive by a mirror over http."""
    s3.upload(sample.folder, "sample")
    lines = sample.plots.read_text().splitlines()[:3]
    (tmp_path / "plots.csv").write_text("\n".join(lines))
    listed = read_plots(tmp_path / "plots.csv")
    ends = [f"{row.plot_id}_spectral|plot_{row.plot_id}_" for row in listed.itertuples()]
    expected = {
        name: data
        for name, data in on_disk(sample_project).items()
        if name.startswith("prj_") and re.match("|".join(ends), Path(name).name)
    }
    assert len(expected) > 50
    items = json.loads(sample.items.read_text())["features"]
    with stac_api(items) as api, file_server(sample.folder) as port:
        ways = {
            f"s3://{bucket}/a": ["--mirror", f"{BUCKET}=s3://sample", "--endpoint", paying.url,
                                 "--out-endpoint", s3.url],
            str(tmp_path / "b"): ["--mirror", f"{BUCKET}=http://127.0.0.1:{port}"],
        }  # fmt: skip
        for out, options in ways.items():
            command = [sys.executable, "-m", "timesync_xr", "extract", str(tmp_path / "plots.csv")]
            command += ["--source", api, "--out", out, *options]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr + done.stdout
    for made in (in_bucket(s3, bucket, "a/"), on_disk(tmp_path / "b")):
        assert {name: data for name, data in made.items() if name.startswith("prj_")} == expected


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
