"""Work that outlives a page, and the queue it waits in: few at once, in turn between visitors, not without end."""

import ctypes
import gc
import itertools
import secrets
import threading
import time
from collections.abc import Callable
from functools import partial

from molgen.errors import InputError, MolgenError

AT_ONCE = 2
PER_VISITOR = 3  # waiting or running
IN_ALL = 20  # waiting or running
KEPT = 60  # ended jobs
GONE_SECONDS = 300.0
KEPT_SECONDS = 900.0  # sets are on the disk by then; a report is made again
FINISH_SECONDS = 10.0


class Stopped(Exception):  # noqa: N818 it is no error
    """The visitor, or the time limit, has ended the job."""


class Job:
    """Work in a thread. state: waiting, running, done, stopped or failed; doing: what, in words; error: why it failed.

    done of total: molecules so far, total None where not known. visitors: the sessions that look at it.
    """

    def __init__(self, label: str, minutes: float) -> None:
        self.key = secrets.token_urlsafe(9)
        self.label = label
        self.minutes = minutes
        self.state, self.doing, self.error = "waiting", "waiting for other work to end", ""
        self.done = 0
        self.total: int | None = None
        self.started = self.ended = self.stop_asked = 0.0
        self.stop = threading.Event()
        self.over = threading.Event()
        self.visitors: set[str] = set()
        self.seen = 0.0  # when a visitor was last there, by the clock of the queue

    @property
    def busy(self) -> bool:
        """Not yet ended."""
        return self.state in ("waiting", "running")

    @property
    def seconds(self) -> float:
        """Time since the start, or from start to end."""
        return (self.ended or time.monotonic()) - self.started if self.started else 0.0

    def work(self) -> None:
        """What the job does; calls `check` often. Raises Stopped, MolgenError."""
        raise NotImplementedError

    def check(self, grace: float = 0.0) -> None:
        """Raise Stopped where the time is over, or where the visitor has wanted no more for `grace` seconds."""
        if self.stop.is_set():
            self.stop_asked = self.stop_asked or time.monotonic()
            if time.monotonic() - self.stop_asked >= grace:
                raise Stopped
        if self.seconds > 60 * self.minutes:
            self.error = f"ended after {self.minutes:g} minutes, the most that this server allows"
            raise Stopped

    def tell(self, what: str, done: int, total: int | None) -> None:
        """Progress in the form that the library calls back with."""
        self.doing, self.done, self.total = what, done, total
        self.check()

    def wait(self, seconds: float) -> bool:
        """Whether it has ended, within some seconds."""
        return self.over.wait(seconds)

    def run(self) -> None:
        """Do the work; what goes wrong becomes the state."""
        self.doing, self.started = "", time.monotonic()
        state = "failed"
        try:
            self.check()
            self.work()
            state = "done"
        except Stopped:
            state = "stopped"
        except MolgenError as error:
            self.error = str(error)
        except Exception as error:  # the page must say something, and the log must say it all
            self.error = f"molgen failed ({type(error).__name__}); see the log of the server"
            raise
        finally:
            self.ended, self.state = time.monotonic(), state
            self.over.set()


def _in_thread(job: Job, run: Callable[[], None]) -> None:
    def whole() -> None:
        try:
            run()
        finally:
            give_back_memory()

    threading.Thread(target=whole, name=f"job {job.label}", daemon=True).start()


def give_back_memory() -> None:
    """Give the system the free memory between our blocks, which glibc would keep for good, more with every job."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it
    if trim is not None:
        trim(0)


def settle() -> None:
    """Let what is there stay out of the collection of garbage, which Streamlit makes after every drawing of a page.

    For what stays as long as the server, such as modules and models: half a second of each drawing goes to it else.
    """
    gc.collect()
    gc.freeze()


class JobQueue:
    """Jobs by their key, of all visitors. A visitor is a session: one tab of a browser.

    is_here: whether a session is still connected; clock: seconds; launch: runs a function beside, for a job; ended:
    called with each job that has run.
    """

    def __init__(
        self,
        is_here: Callable[[str], bool],
        clock: Callable[[], float] = time.monotonic,
        launch: Callable[[Job, Callable[[], None]], None] = _in_thread,
        ended: Callable[[Job], None] = lambda job: None,
    ) -> None:
        self.is_here, self.clock, self.launch, self.ended = is_here, clock, launch, ended
        self.jobs: dict[str, Job] = {}
        self.lock = threading.RLock()
        self.waiting: dict[str, str] = {}  # key of a job -> who started it, in order
        self.running: dict[str, str] = {}
        self.turns: dict[str, int] = {}  # of who started jobs: number of the last turn
        self.turn = itertools.count(1)

    def start(self, job: Job, visitor: str) -> None:
        """Put a job in the queue. Raises InputError where there is too much to do already."""
        with self.lock:
            busy = [one for one in self.jobs.values() if one.busy]
            own = sum(visitor in one.visitors for one in busy)
            if own >= PER_VISITOR:
                raise InputError(
                    f"{own} pieces of your work are waiting or running, the most that one visitor may have; "
                    "stop one of them or wait until it is done"
                )
            if len(busy) >= IN_ALL:
                raise InputError(
                    f"{len(busy)} pieces of work are waiting or running, the most that this server takes; "
                    "try again in some minutes"
                )
            self._forget(len(self.jobs) - len(busy) - KEPT + 1)
            self.jobs[job.key] = job
            self.waiting[job.key] = visitor
            self.join(job.key, visitor)
            self._next()

    def join(self, key: str, visitor: str) -> None:
        """A visitor looks at a job too, after a reload or by a link: it stays while one of them is there."""
        job = self.jobs[key]
        job.visitors.add(visitor)
        job.seen = self.clock()

    def keep(self, job: Job, visitor: str) -> None:
        """Keep a job that needs no run, such as molecules put aside."""
        with self.lock:
            self._forget(sum(not one.busy for one in self.jobs.values()) - KEPT + 1)
            self.jobs[job.key] = job
            self.join(job.key, visitor)

    def leave(self, job: Job, visitor: str) -> None:
        """A visitor wants a job no more: it ends, and is forgotten, where nobody else looks at it."""
        with self.lock:
            job.visitors.discard(visitor)
            if not any(self.is_here(other) for other in job.visitors):
                self.stop(job)
                self.jobs.pop(job.key, None)

    def stop(self, job: Job, why: str = "") -> None:
        """End a job: at once if it waits, else as soon as it looks up."""
        with self.lock:
            job.stop.set()
            if job.busy and why:
                job.error = why
            if self.waiting.pop(job.key, None) is not None:
                job.state, job.doing = "stopped", ""
                job.over.set()

    def sweep(self) -> None:
        """Stop jobs whose visitors have gone some minutes ago; forget results that nobody has looked at for long."""
        with self.lock:
            now = self.clock()
            for key, job in list(self.jobs.items()):
                here = {visitor for visitor in job.visitors if self.is_here(visitor)}
                if here:
                    job.visitors, job.seen = here, now
                elif job.busy and now - job.seen >= GONE_SECONDS and not job.stop.is_set():
                    self.stop(job, f"stopped: nobody has looked at it for {GONE_SECONDS / 60:g} minutes")
                elif not job.busy and now - job.seen >= KEPT_SECONDS:
                    del self.jobs[key]
            started = {*self.waiting.values(), *self.running.values()}
            self.turns = {visitor: turn for visitor, turn in self.turns.items() if visitor in started}

    def _forget(self, count: int) -> None:
        """Forget some ended jobs: those that nobody has looked at for longest."""
        ended = sorted((job for job in self.jobs.values() if not job.busy), key=lambda job: job.seen)
        for job in ended[: max(0, count)]:
            del self.jobs[job.key]

    def _next(self) -> None:
        """Start what may start: of the visitor who has least running, then of who had no turn for longest."""
        with self.lock:
            while self.waiting and len(self.running) < AT_ONCE:
                key = min(self.waiting, key=self._rank)  # the first of equals
                visitor = self.running[key] = self.waiting.pop(key)
                self.turns[visitor] = next(self.turn)
                job = self.jobs[key]  # one that was left has stopped waiting
                job.state = "running"
                self.launch(job, partial(self._run, job))

    def _rank(self, key: str) -> tuple[int, int]:
        visitor = self.waiting[key]
        return sum(other == visitor for other in self.running.values()), self.turns.get(visitor, 0)

    def _run(self, job: Job) -> None:
        try:
            try:
                job.run()
            finally:
                self.ended(job)
        finally:
            with self.lock:
                del self.running[job.key]
                self._next()
