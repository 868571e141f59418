"""A report of sets of molecules wherever they come from: what `molgen report` and `molgen.report` both do."""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from molgen.data.readers import Row, expected_rows, read_molecules
from molgen.errors import InputError
from molgen.evaluation.extras import require
from molgen.evaluation.open_reference import open_reference
from molgen.evaluation.report import Report
from molgen.evaluation.run_record import run_record
from molgen.evaluation.screening import load_profile
from molgen.progress import Progress, silent


class Unjudged(NamedTuple):
    """A set of molecules for a report, as `Report.add` takes it."""

    label: str
    rows: Iterable[Row]
    requested: int | None = None
    reasons: dict[str, int] | None = None
    expected: int | None = None


def read_set(file: str, smiles_column: str | None = None, on_column: Callable[[str], object] | None = None) -> Unjudged:
    """A file, whose failures count too where its run record is beside it; the others as `read_molecules` takes them.

    Raises InputError for a file that cannot be read, now and not when its rows are asked for.
    """
    rows = read_molecules(file, smiles_column, on_column=on_column)
    rows = chain([next(rows)], rows)
    record = run_record(file)
    asked, failed = (record.requested, record.reasons) if record and record.fits else (None, None)
    return Unjudged(file, rows, asked, failed, expected_rows(file))


def write_report(
    sets: Sequence[Unjudged],
    output: Path,
    *,
    reference: str,
    profile: str,
    overwrite: bool = False,
    standardise: bool = False,
    include: Sequence[str] = (),
    workers: int = 1,
    progress: Progress = silent,
) -> Report:
    """Judge the sets side by side and write the folder; two may have one label.

    reference: as `open_reference` takes it; profile: a name, or a TOML file; include: of
    molgen.evaluation.extras.EXTRAS. Raises InputError where reference or profile cannot be used, an extra is not
    installed, or the folder holds a report already.
    """
    require(include)
    wanted = load_profile(profile)
    if (output / "report.html").exists() and not overwrite:
        raise InputError(f"{output} holds a report already; choose another folder, or let it be replaced", "overwrite")
    if not output.resolve().parent.is_dir():
        raise InputError(f"the folder {output.resolve().parent} does not exist")
    compared = open_reference(reference, standardise=standardise, workers=workers, progress=progress)
    with Report(compared, wanted, output, progress, standardise, include) as report:
        for each in sets:
            report.add(each.label, each.rows, workers, each.requested, each.reasons, each.expected)
        report.write()
    return report
