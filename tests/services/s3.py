"""A real S3 server on loopback (SeaweedFS), and what tests need around it."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.faults import Fault, Request, status
from timesync_xr.storage import access

KEY, SECRET = "test", "testtest"
DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


@dataclass(frozen=True)
class S3:
    """A running server."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> Any:
        import boto3

        return boto3.client(
            "s3", endpoint_url=self.url, region_name="us-west-2",
            aws_access_key_id=KEY, aws_secret_access_key=SECRET,
        )  # fmt: skip

    def upload(self, folder: Path, bucket: str, prefix: str = "") -> None:
        client = self.client()
        client.create_bucket(Bucket=bucket)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                key = prefix + str(path.relative_to(folder))
                client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())

    def objects(self, bucket: str, prefix: str = "") -> dict[str, Any]:
        """Keys below a prefix with their etag and time."""
        pages = self.client().get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=prefix
        )  # fmt: skip
        found = [entry for page in pages for entry in page.get("Contents", [])]
        return {e["Key"].removeprefix(prefix): (e["ETag"], e["LastModified"]) for e in found}

    def contents(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        client = self.client()
        return {
            key: client.get_object(Bucket=bucket, Key=prefix + key)["Body"].read()
            for key in self.objects(bucket, prefix)
        }

    def options(self, **others: Any) -> access.S3:
        """How a project folder there is reached."""
        return access.S3(endpoint=others.pop("endpoint", self.url), **others)


def free_ports(count: int) -> int:
    """The first of some neighbouring ports that are free."""
    for _ in range(100):
        first = random.randrange(20000, 32000, count)
        sockets = [socket.socket() for _ in range(count)]
        try:
            for offset, one in enumerate(sockets):
                one.bind(("127.0.0.1", first + offset))
        except OSError:
            continue
        else:
            return first
        finally:
            for one in sockets:
                one.close()
    raise RuntimeError("no free ports")


@contextmanager
def s3_server(folder: Path) -> Iterator[S3]:
    """A server whose data lie in a folder."""
    weed = Path(sys.executable).with_name("weed")
    if not weed.exists():
        pytest.fail("there is no weed: install the services extra (pip install -e '.[services]')")
    port = free_ports(10)
    names = ("s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "filer.port",
             "filer.port.grpc", "volume.port", "volume.port.grpc", "admin.port",
             "admin.port.grpc")  # fmt: skip
    command = [str(weed), "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    command += [f"-{name}={port + number}" for number, name in enumerate(names)]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false",
                "-master.telemetry=false", "-volume.max=5000"]  # fmt: skip
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        server = S3(port)
        _wait_for(server, process, folder / "log")
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(server: S3, process: subprocess.Popen[bytes], log: Path) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    for _ in range(300):
        try:
            server.client().create_bucket(Bucket="ready")
        except (BotoCoreError, ClientError):
            assert process.poll() is None, log.read_text()[-2000:]
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"the S3 server does not start: {log.read_text()[-2000:]}")


def demand_payment(request: Request) -> Fault | None:
    """A rule for a proxy: as a bucket whose requester pays."""
    header = request.headers.get("x-amz-request-payer") == "requester"
    if header or "x-amz-request-payer=requester" in request.path:
        return None
    return status(403, body=DENIED)
