from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.servers import PlainHandler, serving
from timesync_xr.catalog.stac import Patience, PatientIO
from timesync_xr.errors import AccessError, CatalogError, ReadError, TransientReadError
from timesync_xr.run import progress as shown
from timesync_xr.storage import objects, waiting
from timesync_xr.storage.access import S3, Access
from timesync_xr.storage.objects import read_ranges
from timesync_xr.storage.waiting import Wait


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The time that is told, which passes by waiting alone."""
    moment = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: moment[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: moment.__setitem__(0, moment[0] + seconds))
    for known in (waiting._leads, waiting._lines, objects._healths):
        known.clear()
    yield moment
    assert not waiting._listeners


def fail(wait: Wait, failed: int, seconds: float = 2.0) -> None:
    wait.before_next(failed, "status 503", seconds)
    time.sleep(seconds)


def test_an_outage_is_one_line_however_many_requests_wait() -> None:
    told: list[tuple[str, bool]] = []
    with waiting.listening(lambda text, is_news: told.append((text, is_news))):
        requests = [Wait("s3://b", 6) for _ in range(50)]
        for failed in (1, 2, 3):
            for request in requests:
                fail(request, failed, 0.1 if request is requests[1] else 1.0)
        requests[0].gave_up()
        for request in requests[1:]:
            fail(request, 4, 1.0)
        requests[5].answered()
        requests[6].answered()
    lines = [text for text, is_news in told if is_news]
    assert lines == ["s3://b: status 503, trying again (2 of 6)"]
    assert [text for text, _ in told][1:3] == [
        "s3://b: status 503, trying again (3 of 6)",
        "s3://b: status 503, trying again (4 of 6)",
    ]
    assert [text for text, _ in told].count("") == 1
    assert told[-1] == ("", False)


def test_short_waits_are_not_told(caplog: pytest.LogCaptureFixture) -> None:
    wait = Wait("s3://b", 9)
    fail(wait, 1, 0.1)
    fail(wait, 2, 0.2)
    wait.answered()
    assert not caplog.records
    fail(wait, 3, 0.8)
    assert [record.getMessage() for record in caplog.records] == [
        "s3://b: status 503, trying again (4 of 9)"
    ]
    assert caplog.records[0].levelno == logging.WARNING


def test_a_service_that_comes_and_goes_gets_a_line_a_minute(
    caplog: pytest.LogCaptureFixture, now: list[float]
) -> None:
    for _ in range(100):
        wait = Wait("s3://b", 6)
        fail(wait, 1, 1.5)
        wait.answered()
    assert len(caplog.records) == 1
    now[0] += 61
    fail(Wait("s3://b", 6), 1)
    fail(Wait("s3://other", 6), 1)
    assert len(caplog.records) == 3


def test_many_threads_give_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda _: fail(Wait("s3://b", 6), 1), range(200)))
    assert len(caplog.records) == 1


class Refusing(PlainHandler):
    """Has no answer but 503."""

    def do_GET(self) -> None:  # noqa: N802 - as http.server wants it
        self.reply(503, b"")


def test_errors_tell_how_often_and_how_long_it_was_tried(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with serving(Refusing) as port:
        with pytest.raises(TransientReadError) as caught:
            read_ranges(f"http://127.0.0.1:{port}/x", [(0, 9)], Access(s3=S3(max_retries=5)))
        with pytest.raises(CatalogError, match=r"503 \(tried 6 times in \d\d s\)\. Run"):
            PatientIO().request(f"http://127.0.0.1:{port}/stac")
    assert "Unavailable (tried 6 times in " in str(caught.value)
    assert caught.value.cause == "the service failed: 503 Service Unavailable"  # as tables keep it
    with pytest.raises(AccessError, match=r"can't be reached \(tried 9 times in \d\d s\)\. Check"):
        read_ranges("http://127.0.0.1:9/x", [(0, 9)], Access())
    with pytest.raises(AccessError, match=r"it can't be reached \(.*\) \(tried 2 times in 1 s\)"):
        PatientIO(Patience(tries=2)).request("http://127.0.0.1:9/stac")
    lines = [record.getMessage() for record in caplog.records if "again" in record.getMessage()]
    assert [line.partition(": ")[0] for line in lines] == [
        f"http://127.0.0.1:{port}",
        "http://127.0.0.1:9",
    ]


def test_a_single_try_is_not_counted() -> None:
    with pytest.raises((AccessError, ReadError)) as caught:
        read_ranges("http://127.0.0.1:9/x", [(0, 9)], Access(s3=S3(max_retries=0)))
    assert "tried" not in str(caught.value)


def test_what_came_before_a_failure_is_not_fetched_again() -> None:
    body = bytes(range(256)) * 400
    asked: list[str] = []

    class Handler(PlainHandler):
        def do_GET(self) -> None:  # noqa: N802 - as http.server wants it
            span = self.headers["range"]
            asked.append(span)
            first, last = map(int, span.removeprefix("bytes=").split("-"))
            if asked.count(span) == 1 and first == 50_000:
                self.reply(503, b"")
                return
            told = f"bytes {first}-{last}/{len(body)}"
            self.reply(206, body[first : last + 1], ("Content-Range", told), ("ETag", '"1"'))

    ranges = [(0, 100), (50_000, 50_100), (90_000, 90_100)]
    with serving(Handler) as port:
        found = read_ranges(f"http://127.0.0.1:{port}/x", ranges, Access())
    assert found == [body[start:stop] for start, stop in ranges]
    assert sorted(asked) == ["bytes=0-99", "bytes=50000-50099", "bytes=50000-50099",
                             "bytes=90000-90099"]  # fmt: skip


def test_the_bar_of_a_run_shows_it_in_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with shown.show_progress(3, 0, True):
        wait = Wait("s3://b", 6)
        fail(wait, 2)
        waited = capsys.readouterr().err
        wait.answered()
        after = capsys.readouterr().err
    assert "s3://b: status 503, trying again (3 of 6)" in waited
    assert "\n" not in waited
    assert "0 observations" in after
    assert "again" not in after


def test_a_log_file_gets_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with shown.show_progress(3, 0, True):
        for failed in (1, 2, 3):
            fail(Wait("s3://b", 6), failed)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "s3://b: status 503, trying again (2 of 6)"
    assert len(lines) == 2  # and the progress itself


def test_workers_hand_on_what_they_wait_for() -> None:
    handed: list[Any] = []
    waiting.hand_on(lambda *told: handed.append(told))
    try:
        fail(Wait("s3://b", 6), 1)
    finally:
        waiting.hand_on(None)
    assert handed == [("s3://b", "s3://b: status 503, trying again (2 of 6)")]
