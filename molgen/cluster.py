"""Workers on the machines of a Ray cluster: each an actor that holds a worker process and passes its messages on.

    with on_cluster("head:6379"):
        run(model, settings, "molecules.csv", workers=64)

The process of its own keeps what `molgen.workers` promises: a molecule that crashes or hangs RDKit harms no one else.
Ray is imported when a cluster is asked for.
"""

from __future__ import annotations

import logging
import os
import pickle
import platform
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

from molgen.errors import InputError
from molgen.workers import Died, Engine, Worker, using

if TYPE_CHECKING:
    from types import ModuleType

ANSWER = 5.0  # seconds that an address has to accept a connection
TRIAL = 30  # seconds in which a cluster has to be joined
PASSED_ON = ("MOLGEN_PRECISION",)  # variables of the environment that molecules depend on
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
SAME = ("torch", "rdkit", "numpy")  # libraries that molecules depend on
JOIN = "import logging, sys, ray; ray.init(address=sys.argv[1], log_to_driver=False, logging_level=logging.ERROR)"


@contextmanager
def on_cluster(address: str = "auto") -> Iterator[None]:
    """Let the workers of all that is called in the block be on the machines of a Ray cluster.

    This machine should be one of them. address: HOST:PORT, as `ray start --address` takes it, or auto for the cluster
    that this machine belongs to. Raises InputError where Ray is not installed or no cluster can be joined there, and in
    the block where a machine has other versions of what molecules depend on.
    """
    ray = _ray()
    host, _, port = address.rpartition(":")
    if address != "auto" and not (re.fullmatch(r"[\w.-]+|\[[\da-fA-F:]+\]", host) and port.isdecimal()):
        raise InputError(f"a cluster's address is auto or HOST:PORT, such as head:6379, got {address!r}", "address")
    if ray.is_initialized():
        raise InputError("this process is connected to a Ray cluster already; call ray.shutdown() first")
    if address != "auto":
        try:
            socket.create_connection((host.strip("[]"), int(port)), ANSWER).close()
        except (OSError, OverflowError) as error:
            raise InputError(f"no Ray cluster answers at {address} ({error})", "address") from None
    _try_to_join(address)
    with _silence():
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        try:
            with using(_Ray(ray)):
                yield
        finally:
            ray.shutdown()


def _ray() -> ModuleType:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)  # it looks at them when it is imported
    try:
        return import_module("ray")
    except ImportError:
        raise InputError("the engine ray needs Ray: pip install 'molgen-diffusion[cluster]'") from None


@contextmanager
def _silence() -> Iterator[None]:
    """Keep Ray's news of the machines off standard output, which may be a file of molecules."""
    module: Any = import_module("ray._private.worker")  # no setting does this
    module._worker_logs_enabled = False
    try:
        yield
    finally:
        module._worker_logs_enabled = True


def _try_to_join(address: str) -> None:
    """Join a cluster in a process of its own: where it cannot, Ray waits for minutes and then ends the process."""
    command = [sys.executable, "-c", JOIN, address]
    which = "this machine's Ray cluster" if address == "auto" else f"the Ray cluster at {address}"
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TRIAL)
    except subprocess.TimeoutExpired:
        raise InputError(f"{which} does not answer within {TRIAL} s", "address") from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise InputError(f"{which} cannot be joined: {said}", "address")


def versions() -> dict[str, str]:
    """Of what molecules depend on; "none" for what is not installed."""

    def version(name: str) -> str:
        try:
            return metadata.version(name).partition("+")[0]  # builds for CPU and GPU are called so after a +
        except metadata.PackageNotFoundError:
            return "none"

    try:
        own = str(import_module("molgen").__version__)
    except ImportError:
        own = "none"
    python = ".".join(platform.python_version_tuple()[:2])
    return {"molgen": own, "python": python} | {name: version(name) for name in SAME}


class _Host:
    """The actor. It reaches machines as code, not by name, so that it can also say that molgen is missing there."""

    def __init__(self, job: bytes, expected: dict[str, str], environ: dict[str, str]) -> None:
        found = versions()
        others = [f"{name} {found[name]} (here {expected[name]})" for name in found if found[name] != expected[name]]
        self.refusal = f"the machine {platform.node()} of the cluster has {', '.join(others)}" if others else ""
        if not self.refusal:
            for name in PASSED_ON:
                os.environ.pop(name, None)
            os.environ.update(environ)
            vars(sys.modules["__main__"]).pop("__file__", None)  # Ray's script, which the process would run for nothing
            self.worker: Any = import_module("molgen.workers").ProcessWorker(job)
            self.worker.begin()

    def receive(self) -> bytes | str | None:
        """What the process says, waiting for it; None where it has died, a text where this machine cannot be used."""
        if self.refusal:
            return self.refusal
        try:
            return bytes(self.worker.pipe.recv_bytes())
        except (EOFError, OSError):
            return None

    def send(self, content: bytes) -> None:
        """Pass something on to the process."""
        self.worker.send(content)


class _Actor(Worker[Any]):
    """A worker on some machine. coming: its next message, a reference."""

    def __init__(self, ray: ModuleType, host: Any) -> None:
        super().__init__()
        self.ray, self.host = ray, host
        self.coming: Any = host.receive.remote()

    def begin(self) -> None:
        """The actor has sent the job."""

    def send(self, content: bytes) -> None:
        """See `Worker`."""
        self.host.send.remote(content)

    def has_message(self) -> bool:
        """See `Worker`."""
        return bool(self.ray.wait([self.coming], timeout=0)[0])

    def receive(self) -> object:
        """See `Worker`. Raises InputError where its machine cannot be used."""
        try:
            content = self.ray.get(self.coming)
        except self.ray.exceptions.RayError:  # the actor, or its machine
            return Died()
        if content is None:
            return Died()
        if isinstance(content, str):
            raise InputError(f"{content}; all machines should have the same versions")
        self.coming = self.host.receive.remote()
        return pickle.loads(content)

    def kill(self) -> None:
        """See `Worker`; Ray ends the process of an actor with it."""
        self.ray.kill(self.host)

    def end(self) -> None:
        """Kill it; there is nothing to wait for."""
        self.kill()


class _Ray(Engine):
    """A cluster that this process is connected to."""

    name, remote = "ray", True

    def __init__(self, ray: ModuleType) -> None:
        self.ray = ray
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        self.host: Any = ray.remote(_Host)
        self.same = (versions(), {name: os.environ[name] for name in PASSED_ON if name in os.environ})
        if not self.room():
            raise InputError("the cluster has no CPU for workers")

    def room(self, gpu: bool = False) -> int:
        """See `Engine`."""
        return int(self.ray.cluster_resources().get("GPU" if gpu else "CPU", 0))

    def threads(self, workers: int) -> int:
        """See `Engine`; each worker has one CPU."""
        return 1

    def keep(self, job: bytes) -> object:
        """See `Engine`: a reference, so that each machine gets it once."""
        return self.ray.put(job)

    def start(self, job: object, gpu: bool) -> Worker[Any]:
        """See `Engine`. It waits for a free CPU or GPU."""
        host = self.host.options(
            num_cpus=1,
            num_gpus=int(gpu),
            max_concurrency=2,  # while it waits for a message, it takes one
            scheduling_strategy="SPREAD",
        )
        return _Actor(self.ray, host.remote(job, *self.same))

    def wait(self, workers: list[Worker[Any]], seconds: float | None) -> list[Worker[Any]]:
        """See `Engine`."""
        of = {worker.coming: worker for worker in workers if isinstance(worker, _Actor)}
        self.ray.wait(list(of), num_returns=1, timeout=seconds)
        ready, _ = self.ray.wait(list(of), num_returns=len(of), timeout=0)
        return [of[reference] for reference in ready]
