"""Runs jobs in processes of their own, in turns, and takes medians."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .archive import MadeArchive, make_archive
from .jobs import Job, to_text
from .server import Served, serving


@dataclass(frozen=True)
class Figures:
    """Medians of some runs of a job, per observation."""

    cpu: float
    """CPU in milliseconds."""
    wall: float
    """Wall time in milliseconds."""
    memory: float
    """Peak memory in MB."""
    requests: tuple[tuple[str, str, int, int], ...]
    """What the server was asked for in the last run: method, path, first byte, byte after last."""
    observations: int
    """How many observations a run had, over all its plots."""
    others: Mapping[str, float]
    """What else the job told."""

    @property
    def bytes(self) -> float:
        """Bytes that the server sent, per observation."""
        return sum(stop - start for _, _, start, stop in self.requests) / self.observations


def run_job(job: Job, work: Path) -> dict[str, Any]:
    """What a job tells; `RuntimeError` with its messages if it fails."""
    command = [sys.executable, "-m", "benchmarks.jobs", to_text(job)]
    root = Path(__file__).parents[1]
    environment = os.environ | {"BENCH_WORK": str(work)}
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{job.name} failed:\n{done.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def measure(jobs: Mapping[str, Job], runs: int, work: Path) -> dict[str, Figures]:
    """Figures of some jobs, which take turns so that all see the same machine."""
    told: dict[str, list[dict[str, Any]]] = {name: [] for name in jobs}
    for number in range(runs):
        for name, job in jobs.items():
            told[name].append(run_job(job, work))
            said = f"{name}: {told[name][-1]['cpu']:.2f} ms of CPU"
            print(f"run {number + 1} of {runs}, {said}", file=sys.stderr, flush=True)
    return {name: _figures(jobs[name], runs_of) for name, runs_of in told.items()}


def _figures(job: Job, told: list[dict[str, Any]]) -> Figures:
    def middle(name: str) -> float:
        return float(statistics.median(run[name] for run in told))

    main = ("cpu", "wall", "memory", "requests")
    return Figures(
        middle("cpu"),
        middle("wall"),
        middle("memory"),
        tuple(tuple(request) for request in told[-1]["requests"]),
        job.observations * (len(job.plots) if job.together else 1),
        {name: middle(name) for name in told[0] if name not in main},
    )


@dataclass(frozen=True)
class Setting:
    """Where the archive lies for the jobs."""

    archive: MadeArchive
    """The archive."""
    place: str
    """Its folder, or the address of its server."""
    warm_items: Path
    """Items of some observations of other dates, to get ready on."""

    def job(self, name: str, observations: int, **more: Any) -> Job:
        """A job on the first observations."""
        items = self.archive.subset(observations, "first")
        return Job(name, str(items), observations, self.place, str(self.warm_items), **more)


def local(folder: Path, scenes: int, observations: int, warm: int) -> Setting:
    """The archive as files; ``warm`` more observations serve to get ready."""
    archive = make_archive(folder, scenes, observations + warm)
    ready = replace(archive, items=archive.items[-warm:]).subset(warm, "warm")
    return Setting(archive, str(folder), ready)


@contextmanager
def served(setting: Setting, delay: float) -> Iterator[tuple[Setting, Served]]:
    """The same archive behind a server that waits ``delay`` seconds before each answer."""
    with serving(setting.archive.folder, delay) as server:
        yield replace(setting, place=server.address), server
