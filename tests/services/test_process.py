"""What a process leaves behind: its exit code, every time, and never a secret."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.archive import BUCKET, SmallArchive
from tests.faults import Proxy, status
from tests.services.s3 import S3, SECRET
from tests.tally import counts
from timesync_xr.grid import REGIONS

INSIDE = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)
SECRETS = ("hunter2", "AKIDPLANTED", "planted/secret+key", "planted-session-token")
RUNS = 24


@pytest.fixture
def archive(tmp_path: Path, s3: S3, bucket: str) -> SmallArchive:
    archive = SmallArchive(tmp_path / "archive")
    for month in (1, 2):
        archive.add("LC08", f"2020-{month:02d}-01T18:30:00.5Z")
    archive.write_items()
    (tmp_path / "plots.csv").write_text(f"project_id,plot_id,x,y\np,1,{INSIDE[0]},{INSIDE[1]}\n")
    client = s3.client()
    for path in archive.folder.rglob("*.TIF"):
        key = str(path.relative_to(archive.folder))
        client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
    return archive


def command(archive: SmallArchive, out: str, *more: str) -> subprocess.CompletedProcess[bytes]:
    plots = archive.folder.parent / "plots.csv"
    items = archive.folder / "items.json"
    return subprocess.run(
        [sys.executable, "-m", "timesync_xr", "extract", str(plots), "--out", out, "--source",
         str(items), "--chip-size", "9", "9", *more],
        capture_output=True, check=False, timeout=120,
    )  # fmt: skip


def test_many_short_runs_end_with_their_own_code(
    archive: SmallArchive, s3: S3, bucket: str, tmp_path: Path
) -> None:
    """Complete, incomplete and wrong input in turns, over S3, and nothing on standard error."""
    mirror = ["--mirror", f"{BUCKET}=s3://{bucket}", "--endpoint", s3.url]

    def run(number: int) -> None:
        kind = number % 4
        more = [*mirror, "--region", "EU"] if kind == 3 else mirror
        if kind == 2:
            more = ["--mirror", f"{BUCKET}=s3://{bucket}/nothing", "--endpoint", s3.url]
        done = command(archive, str(tmp_path / f"out{number}"), *more)
        assert done.returncode == (0, 0, 1, 2)[kind], (number, done.stderr.decode())
        assert b"Traceback" not in done.stderr

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(run, range(RUNS)))
    counts["short runs ended"] += RUNS


@pytest.mark.parametrize("code", [0, 403, 503])
def test_planted_secrets_are_nowhere(
    archive: SmallArchive, s3: S3, bucket: str, tmp_path: Path, proxy: Proxy, code: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Those of S3: in the environment, in the address of the service, in what the server says."""
    if code:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDPLANTED")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted/secret+key")
        monkeypatch.setenv("AWS_SESSION_TOKEN", "planted-session-token")
        monkeypatch.setenv("TIMESYNC_XR_RETRY_SECONDS", "1")
    body = f"<Error><Message>{' '.join(SECRETS)}</Message></Error>".encode()
    proxy.rule = lambda _: status(code, body=body) if code else None
    signed = "https://a.example.org/x.TIF?X-Amz-Signature=hunter2&token=hunter2"
    archive.items[0]["assets"]["blue"] = {"href": signed}
    archive.write_items()
    address = proxy.url.replace("http://", "http://me:hunter2@")
    mirror = ["--mirror", f"{BUCKET}=s3://{bucket}", "--endpoint", address]
    out = ["--out-endpoint", address, "--products", "png,csv,zarr"]
    done = command(archive, f"s3://{bucket}/out", *mirror, *out)
    assert done.returncode == 1, done.stderr.decode()
    assert bool(code) != bool(s3.objects(bucket, "out/prj_"))
    texts = {"said": done.stdout + done.stderr} | s3.contents(bucket, "out/")
    for place, text in texts.items():
        assert not [s for s in (*SECRETS, SECRET) if s.encode() in text], place
