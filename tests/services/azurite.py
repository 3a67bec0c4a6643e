"""A real store of Azure blobs on loopback: Azurite, which checks signatures and their end."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from tests.servers import PlainHandler, serving
from tests.services.s3 import free_ports

ACCOUNT, CONTAINER = "landsateuwest", "landsat-c2"
KEY = base64.b64encode(b"a key of this test alone").decode()


class Azurite:
    """Files of a folder in a container that nobody reads without a signature."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/{ACCOUNT}"

    def upload(self, folder: Path) -> None:
        from azure.storage.blob import ContainerClient

        client = ContainerClient(self.url, CONTAINER, credential=KEY)
        client.create_container()
        for path in folder.rglob("*.TIF"):
            client.upload_blob(path.relative_to(folder).as_posix(), path.read_bytes())

    def signature(self, life: float) -> tuple[str, datetime]:
        """A token that opens the container to readers, and when it ends; to the second."""
        from azure.storage.blob import ContainerSasPermissions, generate_container_sas

        ends = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=life)
        text = generate_container_sas(
            ACCOUNT, CONTAINER, account_key=KEY, expiry=ends,
            permission=ContainerSasPermissions(read=True, list=True),
        )  # fmt: skip
        return text, ends


@contextmanager
def azurite(folder: Path) -> Iterator[Azurite]:
    """Azurite with an account of the name that Planetary Computer's has."""
    command = shutil.which("azurite-blob")
    if command is None:
        pytest.fail("there is no Azurite: tests/services/requirements.txt says how to get it")
    port = free_ports(1)
    with (folder / "azurite.log").open("w") as log:
        server = subprocess.Popen(
            [command, "--silent", "--location", str(folder / "blobs"), "--blobPort", str(port),
             "--skipApiVersionCheck"],
            env={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"}, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    made = Azurite(port)
    try:
        for _ in range(600):
            assert server.poll() is None, (folder / "azurite.log").read_text()[-3000:]
            try:
                requests.get(made.url, timeout=5)
                break
            except requests.RequestException:
                time.sleep(0.1)
        yield made
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # node may be a child of what was started
        server.wait()


class Tokens:
    """What a service of tokens gave."""

    def __init__(self, life: float) -> None:
        self.life, self.given, self.port = life, list[str](), 0

    def environment(self, store: Azurite) -> dict[str, str]:
        return {
            "PC_SDK_SAS_URL": f"http://127.0.0.1:{self.port}/token",
            "TIMESYNC_XR_BLOB_URL": store.url,
        }


@contextmanager
def serving_tokens(store: Azurite, life: float) -> Iterator[Tokens]:
    """A service of tokens before the store, as Planetary Computer's."""
    tokens = Tokens(life)

    class Handler(PlainHandler):
        def do_GET(self) -> None:  # noqa: N802 - as http.server wants it
            assert self.path == f"/token/{ACCOUNT}/{CONTAINER}"
            text, ends = store.signature(tokens.life)
            tokens.given.append(text)
            told = {"msft:expiry": ends.isoformat(), "token": text}
            self.reply(200, json.dumps(told).encode())

    with serving(Handler) as tokens.port:
        yield tokens
