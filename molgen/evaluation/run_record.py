"""The run record that `molgen generate` leaves beside its molecules: it counts the failures, too."""

from pathlib import Path
from typing import NamedTuple

from molgen.data.dataset import read_json
from molgen.errors import InputError
from molgen.files import sha256_of


class RunRecord(NamedTuple):
    """What a run counted. fits: the molecules beside it are as the run wrote them; reasons: why samples failed."""

    path: Path
    fits: bool
    requested: int
    sanitised: int
    valid: int
    reasons: dict[str, int]


def record_path(file: str) -> Path:
    """Where the run record of a file of molecules is."""
    return Path(file).with_suffix(".json")


def run_record(file: str) -> RunRecord | None:
    """The run record of a file of molecules; None where there is none, of standard input, "-", and of a file of
    stereoisomers."""
    if file == "-":
        return None
    path = record_path(file)
    try:
        record = read_json(path)
        if record.get("stereo") is not None:  # its rows are stereoisomers, its counts of molecules
            return None
        counts = record["counts"]
        numbers = [counts[name] for name in ("requested", "sanitised", "valid", "reasons")]
        return RunRecord(path, record["output_sha256"] == sha256_of(file), *numbers)
    except (InputError, KeyError, TypeError):  # none, or another program's
        return None
