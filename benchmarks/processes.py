"""A dask scheduler and workers in processes of their own, on loopback, and a look at them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


@contextmanager
def dask_processes(folder: Path, workers: int, **environment: str) -> Iterator[Any]:
    """A client of a scheduler with workers of one thread each, which get some variables."""
    from distributed import Client

    file = folder / "scheduler.json"
    running: list[subprocess.Popen[bytes]] = []

    def start(*arguments: object) -> None:
        command = [sys.executable, "-m", "dask", *map(str, arguments)]
        command += ["--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        env = {**os.environ, "PYTHONPATH": path, **environment}
        quiet = subprocess.DEVNULL
        running.append(subprocess.Popen(command, stdout=quiet, stderr=quiet, cwd=folder, env=env))

    try:
        file.unlink(missing_ok=True)
        start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", file)
        while not file.exists():
            time.sleep(0.1)
        for _ in range(workers):
            start("worker", "--nthreads", "1", "--no-nanny", "--scheduler-file", file)
        with Client(scheduler_file=str(file)) as client:
            client.wait_for_workers(workers, timeout=60)
            yield client
    finally:
        for process in running:
            process.kill()
            process.wait()


class Watch:
    """Looks at the scheduler every second."""

    def __init__(self, client: Any) -> None:
        self.tasks, self.megabytes = 0, 0.0
        self.first = 0.0
        """Seconds after which the scheduler had its first task."""
        self._client, self._end, self._start = client, threading.Event(), time.perf_counter()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._end.wait(1):
            tasks, megabytes = self._client.run_on_scheduler(_size)
            if tasks and not self.first:
                self.first = time.perf_counter() - self._start
            self.tasks = max(self.tasks, tasks)
            self.megabytes = max(self.megabytes, megabytes)

    def stop(self) -> None:
        self._end.set()
        self._thread.join()


def _size(dask_scheduler: Any) -> tuple[int, float]:
    return len(dask_scheduler.tasks), peak_megabytes()


def peak_megabytes() -> float:
    """What this process had of memory at most; `resource` counts that of its parent, too."""
    told = Path("/proc/self/status").read_text().partition("VmHWM:")[2]
    return int(told.split()[0]) / 1024
