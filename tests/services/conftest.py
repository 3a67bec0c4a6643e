"""Servers that all tests of this folder share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import Proxy
from tests.services.s3 import KEY, S3, SECRET, demand_payment, s3_server
from timesync_xr.storage import objects as service


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.services)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def bucket(s3: S3, request: pytest.FixtureRequest) -> str:
    """An empty bucket of the test's own."""
    name = f"t{abs(hash(request.node.nodeid)):x}"
    s3.client().create_bucket(Bucket=name)
    return name


@pytest.fixture
def proxy(s3: S3) -> Iterator[Proxy]:
    """A way to the S3 server on which requests are counted and can be spoilt."""
    with Proxy(s3.port) as proxy:
        yield proxy


@pytest.fixture
def paying(s3: S3) -> Iterator[Proxy]:
    """A way to the S3 server that demands that the requester pays."""
    with Proxy(s3.port, demand_payment) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials of the server in the environment, and none from elsewhere."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    service._store.cache_clear()
