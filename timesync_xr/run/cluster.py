"""Plots on the workers of a dask cluster: bounded submission, workers that come, go and die.

The scheduler never holds more than `AHEAD` plots for each thread of a worker, however long the list
is. Nothing on a worker's disk matters: a plot that was lost with its worker is done again.
"""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
import os
import pickle
import signal
import time
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import resource_tracker
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from distributed import WorkerPlugin

from ..errors import AccessError, InputError, Kind, TimesyncError, counted
from ..storage import waiting
from ..storage.access import clean
from ..storage.connections import VARIABLES

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster, Scheduler, Worker

AHEAD: Final = 2
"""Plots that a worker has for each of its threads: the one at work and the next."""

SETTINGS: Final = ("AWS_", "GDAL_", "CPL_", "VSI_", "PC_SDK_", "TIMESYNC_XR_", *VARIABLES)
"""How the names of the environment variables begin that workers are given."""

DEATHS: Final = 2
"""Workers that a plot may lose before it is set aside."""

_SAFE_PATH: Final = "PYTHONSAFEPATH"
_WARNINGS: Final = "PYTHONWARNINGS"

_PROXIES: Final = ("http_proxy", "https_proxy", "no_proxy")
_TICK: Final = 1.0
"""Seconds after which to look for workers that came or went."""

_LONE: Final = 10.0
"""Seconds without any worker after which it is told that the run waits for one."""

_GONE: Final = 180.0
"""Seconds in which a worker of a cluster of this machine would be back if it ever was."""

_NONE: Final = "the cluster"

_WAY: Final = 10.0
"""Seconds that a result may take from its worker, which may die just then."""

_GUARD: Final = (
    'in a script, call extract below `if __name__ == "__main__":`, since every worker imports the '
    "script"
)
_SPAWN: Final = {"distributed.worker.profile.enabled": False}
"""Settings of dask for processes of this machine: its profile takes 4 % of their time, unseen."""

_PLUGIN: Final = "timesync_xr settings"
_WAITING: Final = "timesync_xr waiting"
"""Where workers tell what they wait for, so that the run says it once for all of them."""

_LOG = logging.getLogger(__name__)
_BEFORE: Final[dict[str, str | None]] = {}
"""What a worker had before the first run set a variable."""

Result = TypeVar("Result")
Item = TypeVar("Item", bound=Hashable)
Item_co = TypeVar("Item_co", bound=Hashable, covariant=True)


class Queue(Protocol[Item_co]):
    """What waits to be done: plots, or parts of one."""

    @property
    def is_stopped(self) -> bool:
        """Whether nobody waits for it any more, also for what is being done."""

    def __len__(self) -> int:
        """How many of them."""

    def next(self, worker: str, /) -> Item_co | None:
        """Take the next one for a worker; None where none waits."""

    def forget(self, workers: Iterable[str], /) -> None:
        """These workers are gone: what they had begun is free for others."""


class _Again(Generic[Item]):
    """One that is done again, alone."""

    def __init__(self, item: Item, of: Queue[Item]) -> None:
        self._items, self._of = [item], of

    @property
    def is_stopped(self) -> bool:
        return self._of.is_stopped

    def __len__(self) -> int:
        return len(self._items)

    def next(self, _worker: str) -> Item | None:
        return self._items.pop() if self._items else None

    def forget(self, workers: Iterable[str]) -> None:
        pass


class Settings(WorkerPlugin):
    """Gives every worker the settings of this process, also one that joins late.

    These are the environment variables of AWS, GDAL, proxies, certificates and this package. Their
    values are shown nowhere; they travel as the cluster's connections do (use tls:// on an open
    network).
    Runs with different ``name`` may share a cluster: what one sets stays until it ends itself.
    """

    def __init__(self, name: str = _PLUGIN) -> None:
        from .. import __version__

        self.name = name
        self._version = __version__
        self._variables = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(SETTINGS) or name.lower() in _PROXIES
        }

    def __repr__(self) -> str:
        return f"<{_PLUGIN}: {', '.join(sorted(self._variables))}>"

    def setup(self, worker: Worker) -> None:
        """Set the variables; refuse a worker that has another version of this package."""
        from .. import __version__

        if __version__ != self._version:
            raise InputError(_other_version(worker.address, __version__, self._version))
        for name in self._variables:
            _BEFORE.setdefault(name, os.environ.get(name))
        os.environ.update(self._variables)
        waiting.hand_on(lambda *told: worker.log_event(_WAITING, told))

    def teardown(self, worker: Worker) -> None:
        """Put back what was before, or what another run has set."""
        others = [p for p in worker.plugins.values() if isinstance(p, Settings) and p is not self]
        if not others:
            waiting.hand_on(None)
        for name in self._variables:
            values = [p._variables[name] for p in others if name in p._variables]
            value = values[-1] if values else _BEFORE.pop(name, None)
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def local_cluster(workers: int) -> Iterator[Client]:
    """A client of a cluster of processes on this machine, each with one plot at a time.

    Raises `InputError` where they can't start, as in a script that runs anew in each of them.
    """
    from distributed import Client

    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise InputError(f"this process is a worker that was just started: {_GUARD}")
    with _nothing_of_this_folder():
        _start_tracker()
        cluster = _start(workers)
        level = logging.getLogger("distributed").level
        try:
            with cluster, Client(cluster) as client:
                yield client
                client.run(_hush, on_error="ignore")
                _hush()
        finally:
            logging.getLogger("distributed").setLevel(level)


def _start(workers: int, tries: int = 2) -> LocalCluster:
    """Start processes on this machine; once more where one dies as it starts."""
    import dask
    from distributed import LocalCluster

    try:
        with _deaf_to_interrupts(), dask.config.set(_SPAWN):
            return LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                host="127.0.0.1",
                protocol="tls",  # else any user of this machine could have the workers run code
                security=True,
                dashboard_address="127.0.0.1:0",
            )
    except RuntimeError as error:
        if tries > 1:
            return _start(workers, tries - 1)
        raise InputError(
            f"the {counted(workers, 'worker')} did not start ({error}): {_GUARD}. Where they were "
            "killed, as "
            "by a system that lacks memory, take fewer"
        ) from None


@contextmanager
def _nothing_of_this_folder() -> Iterator[None]:
    """Have processes that start, also in place of one that died, import no module of this folder.

    Python puts the current folder before its own library in them: a ``socket.py`` there would run.
    What they shall find beyond that they are told by the process that starts them.
    """
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_SAFE_PATH, None)
        else:
            os.environ[_SAFE_PATH] = before


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Start threads that leave Ctrl-C to others, as do the processes that they start in turn.

    A terminal sends it to all processes. One that is still importing would print where it is; the
    workers end with the process that started them. Here it is heard by any other thread.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_tracker() -> None:
    """Start the process that frees the semaphores of one that was stopped, and says no word of it.

    It would warn of each Ctrl-C as of a leak.
    """
    before = os.environ.get(_WARNINGS)
    quiet = "ignore::UserWarning:multiprocessing.resource_tracker"
    os.environ[_WARNINGS] = f"{before},{quiet}" if before else quiet
    try:
        resource_tracker.ensure_running()
    finally:
        if before is None:
            del os.environ[_WARNINGS]
        else:
            os.environ[_WARNINGS] = before


def _hush() -> None:
    """Show no more messages of dask: what processes miss of each other as they end is no news."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)


@contextmanager
def running_cluster(address: str | None, scheduler_file: str | None) -> Iterator[Client]:
    """A client of a cluster that runs already, by its scheduler's address or file.

    Raises `AccessError` where it can't be reached.
    """
    from distributed import Client

    if scheduler_file is not None and not os.path.isfile(scheduler_file):  # dask would wait for it
        raise AccessError(
            f"there is no scheduler file {scheduler_file}: check the path, and that the scheduler "
            "runs",
            kind=Kind.MISSING,
        )
    try:
        client = Client(address=address, scheduler_file=scheduler_file)
    except Exception as error:  # noqa: BLE001 - whatever dask makes of a wrong file or address
        raise AccessError(
            f"the dask scheduler {clean(address or str(scheduler_file))} can't be reached "
            f"({type(error).__name__}): check its address, and that it runs",
            kind=Kind.UNREACHABLE,
        ) from None
    try:
        yield client
    finally:
        client.close(timeout=5)


def about(client: Client) -> str:
    """Where a cluster is, with the link to its dashboard if it has one."""

    def has_dashboard(dask_scheduler: Scheduler) -> bool:  # dask sends a function in here as it is
        return bool(dask_scheduler.http_application.applications)

    address = client.scheduler_info()["address"]
    try:
        shown = client.run_on_scheduler(has_dashboard)
    except ValueError:  # this scheduler runs no functions of others
        shown = True
    except OSError:
        raise _lost() from None
    dashboard = f", dashboard {client.dashboard_link}" if shown else ""
    return f"Working on the dask cluster {address}{dashboard}"


def work_through(
    client: Client, queue: Queue[Item], task: Callable[[Item], Callable[[], Result]], run: str = ""
) -> Iterator[tuple[Item, Result | None]]:
    """Do all plots of a queue on a cluster; yield each with its result as they are done.

    ``task`` makes of a plot what is to be called on a worker; it is asked for just before. A plot
    that lost `DEATHS` workers is tried again at the end, alone, so that it is not blamed for what
    others did; if it loses as many again, it comes with None. Any error on a worker is raised
    here. ``run`` tells runs apart that share the cluster. `AccessError` where the scheduler is
    lost, or all workers of a cluster of this machine are; elsewhere others are waited for, however
    long their queue is.
    """
    settings = Settings(f"{_PLUGIN} {hashlib.sha256(run.encode()).hexdigest()[:12]}")
    try:
        _settle_in(client, settings)
        client.subscribe_topic(_WAITING, lambda event: waiting.tell(*event[1]))
        crew: _Crew[Item, Result] = _Crew(client, task)
        suspects: list[Item] = []
        for plot, result in crew.do(queue):
            if result is None:
                suspects.append(plot)
            else:
                yield plot, result
        for plot in suspects:
            yield from crew.do(_Again(plot, queue))
    finally:
        if client.status == "running":
            client.unsubscribe_topic(_WAITING)
            _settle_up(client, settings.name)


def _settle_in(client: Client, settings: Settings) -> None:
    """Give the workers the settings; `InputError` where they have another version, or none.

    A worker may die just then. dask gives up for all of them, but keeps the settings for others.
    """
    from .. import __version__

    try:
        try:
            client.register_plugin(settings)
        except OSError:
            _take_on_each(client, settings)
    except TimesyncError:
        raise
    except OSError:
        raise _lost() from None
    except Exception as error:  # dask sends what went wrong on a worker as any of these
        raise InputError(
            f"the workers can't take part ({error}): install timesync_xr {__version__} on all of "
            "them"
        ) from error


def _take_on_each(client: Client, settings: Settings) -> None:
    """Have each worker take settings that it lacks, whatever becomes of others."""
    for error in client.run(_take_on, settings, on_error="return").values():
        if isinstance(error, Exception) and not isinstance(error, OSError):
            raise error


def _settle_up(client: Client, name: str) -> None:
    """Take the settings back from the workers that are there; the scheduler may be lost, too."""
    with suppress(OSError):
        try:
            client.unregister_worker_plugin(name)
        except (OSError, ValueError):  # a worker died, or the scheduler knows of no settings
            if client.status == "running":
                client.run(_put_down, name, on_error="ignore")


async def _take_on(settings: Settings, dask_worker: Worker) -> None:
    """Take settings, unless they are here; runs on workers."""
    if settings.name not in dask_worker.plugins:
        await dask_worker.plugin_add(settings, settings.name, catch_errors=False)


async def _put_down(name: str, dask_worker: Worker) -> None:
    """Give settings back, if they are here; runs on workers."""
    if name in dask_worker.plugins:
        await dask_worker.plugin_remove(name)


def _lost() -> AccessError:
    """The error of a scheduler that was lost."""
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # told here
    return AccessError(
        "the dask scheduler was lost. What is done is kept: start it again, or choose another, "
        "and run the same command",
        kind=Kind.WORKERS,
    )


def _version() -> str:
    """The version of this package; runs on workers."""
    from .. import __version__

    return __version__


def _other_version(worker: str, has: str, wanted: str = "") -> str:
    return (
        f"the worker {worker} has timesync_xr {has}, not {wanted or _version()}: it gets no plots. "
        "Install the same version on all workers"
    )


_Caught = tuple[Result | None, Exception | None]
"""What a call returned, or its error."""


def _caught(call: Callable[[], Result]) -> _Caught[Result]:
    """Call, and return an error in place of raising it; runs on workers.

    dask sends an error that is raised with all that hangs on it and on its traceback. Where some
    of that can't be sent, the client may wait for ever.
    """
    try:
        return call(), None
    except Exception as error:  # noqa: BLE001 - raised where the result is waited for
        return None, _sendable(error)


def _sendable(error: Exception) -> Exception:
    """An error that another process can read: itself if it pickles, else what it says."""
    bare = error.with_traceback(None)
    bare.__cause__ = bare.__context__ = None
    try:
        if type(pickle.loads(pickle.dumps(bare))) is type(error):  # noqa: S301 - made just now
            return bare
    except Exception:  # noqa: BLE001, S110 - whatever its parts make of it
        pass
    return RuntimeError(f"{type(error).__name__}: {error}")


class _Crew(Generic[Item, Result]):
    """The workers of a cluster and what they are at.

    What a worker had when it went is sent again from here, to any worker: dask itself would leave
    it waiting if for a moment there was no other.
    """

    def __init__(self, client: Client, task: Callable[[Item], Callable[[], Result]]) -> None:
        self._client, self._task = client, task
        self._running: dict[Future[_Caught[Result]], tuple[Item, str]] = {}
        self._done: SimpleQueue[Future[_Caught[Result]]] = SimpleQueue()
        self._again: list[Item] = []
        self._deaths: Counter[Item] = Counter()
        self._threads: dict[str, int] = {}
        self._versions: dict[str, str] = {}
        self._looked = -_TICK
        self._alone: float | None = None
        self._call: Future[str] | None = None

    def do(self, queue: Queue[Item]) -> Iterator[tuple[Item, Result | None]]:
        """Plots with their results, None for one that lost too many workers."""
        while (queue or self._running or self._again) and not queue.is_stopped:
            for plot in self._look_around(queue):
                yield plot, None
            self._submit(queue)
            try:
                future = self._done.get(timeout=_TICK)
            except Empty:
                continue
            if future not in self._running:  # it was given up before it was done
                continue
            plot, _ = self._running.pop(future)
            result = self._result(future)
            if result is not None:
                yield plot, result
            elif self._is_given_up(plot):
                yield plot, None

    def _look_around(self, queue: Queue[Item]) -> list[Item]:
        """See which workers there are now; return the plots that have lost too many."""
        self._check_scheduler()
        if time.monotonic() - self._looked < _TICK:
            return []
        before = set(self._threads)
        try:
            there = dict(self._client.nthreads())
            self._ask_versions(there.keys())
        except OSError:
            raise _lost() from None
        fit = {worker for worker, version in self._versions.items() if version == _version()}
        self._threads = {worker: there[worker] for worker in there if worker in fit}
        self._looked = time.monotonic()
        self._wait_for_any()
        queue.forget(before - set(self._threads))
        lost = [f for f, (_, w) in self._running.items() if w not in self._threads]
        plots = [self._running.pop(future)[0] for future in lost]
        self._client.cancel(lost)
        return [plot for plot in plots if self._is_given_up(plot)]

    def _wait_for_any(self) -> None:
        """Where no worker is there: call for one, tell it, and give up where none can come."""
        from distributed import LocalCluster

        if self._threads:
            if self._alone is not None and self._looked - self._alone >= _LONE:
                waiting.tell(_NONE, "")
            self._alone = self._call = None
            return
        if self._alone is None:
            self._alone = self._looked
            self._call = self._client.submit(_version, pure=False)  # adaptive clusters see a task
        if self._looked - self._alone >= _LONE:
            waiting.tell(_NONE, f"{_NONE}: no worker is there, waiting for one")
        if self._looked - self._alone >= _GONE and isinstance(self._client.cluster, LocalCluster):
            raise AccessError(
                f"all workers died, and none came back in {_GONE:.0f} s. What is done is kept: run "
                "the same command again, with fewer workers if the memory of the machine is full",
                kind=Kind.WORKERS,
            )

    def _is_given_up(self, plot: Item) -> bool:
        """Note that a plot lost a worker: whether it lost too many, or is to be tried again."""
        self._deaths[plot] += 1
        if self._deaths[plot] < DEATHS:
            self._again.append(plot)
            return False
        del self._deaths[plot]
        return True

    def _ask_versions(self, there: Collection[str]) -> None:
        """Ask workers that joined for their version of this package: any other gets no plots."""
        self._versions = {w: v for w, v in self._versions.items() if w in there}
        joined = [worker for worker in there if worker not in self._versions]
        if not joined:
            return
        for worker, version in self._client.run(
            _version, workers=joined, on_error="return"
        ).items():
            if isinstance(version, OSError):  # it went; else it is asked again
                continue
            self._versions[worker] = str(version)
            if version != _version():
                _LOG.warning("%s", _other_version(worker, str(version)))

    def _submit(self, queue: Queue[Item]) -> None:
        """Give plots to the workers that have too few; the last to those that have none."""
        busy = Counter(worker for _, worker in self._running.values())
        all_threads = sum(self._threads.values())
        for ahead in range(1, AHEAD + 1):
            for worker, threads in self._threads.items():
                while busy[worker] < ahead * threads:
                    if ahead > 1 and len(queue) <= all_threads:
                        return
                    plot = self._again.pop() if self._again else queue.next(worker)
                    if plot is None:
                        return
                    self._send(plot, worker)
                    busy[worker] += 1

    def _send(self, plot: Item, worker: str) -> None:
        call = partial(_caught, self._task(plot))
        future = self._client.submit(call, pure=False, workers=[worker])
        self._running[future] = plot, worker
        future.add_done_callback(self._done.put)

    def _result(self, future: Future[_Caught[Result]]) -> Result | None:
        """What came of a plot; None where it was lost on its way here."""
        from distributed import KilledWorker
        from distributed.comm.core import CommClosedError

        if future.status == "cancelled":
            raise _lost()
        try:
            made, error = future.result(timeout=_WAY)
        except (KilledWorker, TimeoutError, CommClosedError):
            self._client.cancel([future])
            return None
        if error is not None:
            raise error
        return made

    def _check_scheduler(self) -> None:
        if self._client.status != "running":
            raise _lost()
