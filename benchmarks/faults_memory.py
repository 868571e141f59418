"""Memory of one process that generates again and again, also with reports: as the system counts, and in use."""

import ctypes
import gc
import gzip
import os
import sys
import tempfile
from pathlib import Path

from faults_tools import Outcome

import molgen
from molgen.files import shipped_folder

WARM = 5  # runs in which what is loaded once is loaded
REFERENCE = 2_000  # molecules that reports compare with
ALLOWED = 0.02  # growth of what is in use, of all of it, from the warm run to the last


class _Mallinfo(ctypes.Structure):
    """What glibc tells of its heap, in bytes."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "used", "free", "keepcost")
    )


def resident() -> float:
    """Memory of this process in MB, as the system counts it."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def in_use() -> float:
    """MB of the C heap that somebody holds, after a collection: of torch, numpy, RDKit and Python."""
    gc.collect()
    ask = ctypes.CDLL(None).mallinfo2
    ask.restype = _Mallinfo
    told = ask()
    return float(told.used + told.hblkhd) / 1e6


def memory(runs: int, count: int, model: str, reports: bool) -> Outcome:
    """Runs of `count` molecules, each of another seed, and reports of them. Failed: what is in use has grown."""
    loaded = molgen.load_model(model)
    system, used, blocks = [], [], []
    with tempfile.TemporaryDirectory(prefix="molgen-faults-") as name:
        folder = Path(name)
        known = folder / "known.smi"
        with gzip.open(shipped_folder("datasets") / "qm9.smi.gz", "rt", encoding="utf-8") as file:
            known.write_text("".join(line for line, _ in zip(file, range(REFERENCE), strict=False)), encoding="utf-8")
        for number in range(runs):
            made = loaded.sample(count, seed=number)
            if reports:
                molgen.report(made, folder / str(number), reference=str(known), workers=1)
            del made
            system.append(resident())
            used.append(in_use())
            blocks.append(sys.getallocatedblocks())
            print(
                f"run {number + 1}: {system[-1]:.0f} MB, in use {used[-1]:.1f} MB, {blocks[-1]:,} blocks",
                file=sys.stderr,
                flush=True,
            )
    ctypes.CDLL(None).malloc_trim(0)
    trimmed = resident()
    note = (
        f"{system[0]:.0f} MB after the first run, {system[WARM - 1]:.0f} after {WARM}, {system[-1]:.0f} at the end, "
        f"{trimmed:.0f} once malloc_trim has given back what is free; in use {used[0]:.0f}, {used[WARM - 1]:.0f}, "
        f"{used[-1]:.0f} MB; Python's blocks {blocks[-1] - blocks[WARM - 1]:+,} of {blocks[-1]:,} from run {WARM} on"
    )
    grown = used[-1] > (1 + ALLOWED) * used[WARM - 1] or blocks[-1] > (1 + ALLOWED) * blocks[WARM - 1]
    what = f"memory: {runs} runs of {count} molecules in one process{', each with a report' if reports else ''}"
    return Outcome(what, runs, int(grown), note)
