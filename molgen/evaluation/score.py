"""Scores of a set of molecules from any program: shares with their denominators, FCD with its floor, the suite.

    scores = score_file("molecules.csv", "qm9", workers=2)

and `scores.table()` is what `molgen score` prints, `scores.to_json()` what it writes.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain

from molgen.data.public import PUBLIC
from molgen.data.readers import Row, expected_rows, read_molecules
from molgen.errors import InputError
from molgen.evaluation.account import Account, told
from molgen.evaluation.draws import EvenDraw
from molgen.evaluation.fcd import FCD_SAMPLE, Fcd, chemnet_activations, fcd_warnings
from molgen.evaluation.open_reference import is_prepared, open_reference
from molgen.evaluation.reference import Reference
from molgen.evaluation.run_record import RunRecord, run_record
from molgen.evaluation.suite import SUITE_SAMPLE, Suite, measure_suite
from molgen.evaluation.verdicts import CHUNK, Share, Summary, judgements, summarise
from molgen.molecules.encoding import Decoded
from molgen.molecules.hashing import DistinctMolecules, contains
from molgen.parallel import chunks
from molgen.progress import Progress, counted, silent

STRANGE = {
    "unseen_rings": "a ring system, without charges, that none of {training:,} training molecules has",
    "large_rings": "a ring of 8 atoms or more",
    "unseen_surroundings": "an atom with neighbours that no atom of the training molecules has",
}


@dataclass(frozen=True)
class Scores:
    """What was found of a set of molecules.

    file: its name; rows: molecules in it; requested_from: where summary.requested is from; reference: what it was
    compared with, None where with nothing; novel_to: what the novel ones are not in; new_to_all: how many distinct ones
    are in no part of a data set, None where the reference is none; fcd: None where the reference keeps no molecules;
    suite: None where it was not asked for, or none is valid; duplicates: among the valid, by kind; standardised: how
    many of the valid were changed, by change, None where that was not asked for.
    """

    file: str
    rows: int
    requested_from: str
    reference: str | None
    novel_to: str | None
    new_to_all: int | None
    summary: Summary
    fcd: Fcd | None
    suite: Suite | None
    warnings: tuple[str, ...]
    duplicates: dict[str, int] = field(default_factory=dict)
    standardised: dict[str, int] | None = None

    def to_json(self) -> dict[str, object]:
        """The fields by name, those of the summary beside them; without a suite where there is none."""
        return {
            "file": self.file,
            "rows": self.rows,
            "requested_from": self.requested_from,
            "reference": self.reference,
            "novel_to": self.novel_to,
            "new_to_all": self.new_to_all,
            **self.summary.to_json(),
            "fcd": self.fcd and self.fcd.to_json(),
            "warnings": list(self.warnings),
            "duplicates": self.duplicates,
            **({} if self.standardised is None else {"standardised": self.standardised}),
            **({"suite": self.suite.to_json()} if self.suite else {}),
        }

    def table(self) -> str:
        """The scores as a table of plain text, and what they mean; without the warnings."""
        shares = self.summary.shares()
        if self.new_to_all is not None:
            shares.append(Share(f"new to {self.reference}", self.new_to_all, self.summary.unique, "unique"))
        lines = [("", "share", "count", "of"), *map(_share_line, shares)]
        if self.fcd:
            lines += _fcd_lines(self.fcd)
        if self.suite:
            lines += _suite_lines(self.suite)
        widths = [max(len(line[column]) for line in lines) for column in range(3)]
        text = [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d}" for a, b, c, d in lines]
        text.append(f"N, the molecules requested, is from: {self.requested_from}.")
        if self.reference is None:
            text.append(
                f"A reference ({', '.join(PUBLIC)}, a file of molecules, a model) would add how many are novel, and "
                "the FCD to its molecules."
            )
        else:
            text.append(f"Novel: not in {self.novel_to}.")
        text += told(self.duplicates, self.standardised)
        if self.new_to_all is not None:
            text.append(f"New to {self.reference}: in none of its parts, the held-out ones included.")
        if self.fcd and self.fcd.floor is not None:
            text.append(f"Floor: as many real molecules ({self.fcd.floor_of}).")
        reasons = self.summary.reasons
        if reasons:
            text.append("Not valid: " + ", ".join(f"{count:,} {reason}" for reason, count in reasons.items()))
        return "\n".join(text)


def score_file(
    file: str,
    reference: str | None = None,
    *,
    split: str | None = None,
    smiles_column: str | None = None,
    num: int | None = None,
    suite: bool = False,
    standardise: bool = False,
    workers: int = 1,
    progress: Progress = silent,
    on_column: Callable[[str], object] | None = None,
) -> Scores:
    """`score` of a file; smiles_column, on_column: as `read_molecules` takes them, the reference as `open_reference`.

    Where a run record of `molgen generate` is beside the file, the failures that it counted are counted here too.
    Raises InputError where the file or the reference cannot be used.
    """
    if suite and (reference is None or not is_prepared(reference)):
        raise _no_suite(reference)
    if split and reference is None:
        raise InputError(f"without a reference there is no part {split!r}", "split")
    rows = read_molecules(file, smiles_column, on_column=on_column)
    rows = chain([next(rows)], rows)  # a file that cannot be read is told before the reference is computed
    compared = None
    if reference is not None:
        compared = open_reference(reference, split=split, standardise=standardise, workers=workers, progress=progress)
    return score(
        rows,
        compared,
        name=file,
        num=num,
        record=None if num is not None else run_record(file),
        suite=suite,
        standardise=standardise,
        expected=expected_rows(file),
        workers=workers,
        progress=progress,
    )


def score(
    molecules: Iterable[str | Row],
    reference: Reference | None = None,
    *,
    name: str = "molecules",
    num: int | None = None,
    record: RunRecord | None = None,
    suite: bool = False,
    standardise: bool = False,
    expected: int | None = None,
    workers: int = 1,
    progress: Progress = silent,
) -> Scores:
    """Judge SMILES or rows of a file against a reference, if there is one, in one pass.

    num: molecules asked for, where those that failed are left out; or a record that counted them. suite: measure the
    suite too, for which the reference must be a prepared set. expected: about how many there are, for `progress`.
    The FCD takes an even draw of the valid ones, the suite the first. standardise: judge the parents of the molecules.
    Raises InputError where num is less than there are, or the reference has no parts for the suite.
    """
    if suite and (reference is None or reference.prepared is None):
        raise _no_suite(None if reference is None else reference.name)
    drawn, account = EvenDraw[str](FCD_SAMPLE), Account()
    first: list[str] = []
    distinct = DistinctMolecules() if reference is not None and reference.everything else None

    def taken() -> Iterator[Decoded]:
        for part in counted(chunks(judgements(molecules, workers, standardise), CHUNK), progress, "judging", expected):
            usable = [found for found in part if found.verdict.valid]
            valid = [found.verdict.smiles for found in usable]
            account.add([found.isomer for found in usable], [found.changes for found in usable])
            drawn.add(valid)
            if distinct is not None:
                distinct.add(valid)
            if suite:
                first.extend(valid[: SUITE_SAMPLE - len(first)])
            yield from (found.verdict for found in part)

    counts = summarise(taken(), training=None if reference is None else reference.known)
    summary, source, warnings = _asked_for(counts, name, num, record)
    duplicates, changed = account.duplicates(counts.unique), account.standardised() if standardise else None
    if reference is None:
        none = (None, None, None, summary, None, None)
        return Scores(name, counts.requested, source, *none, tuple(warnings), duplicates, changed)
    warnings += reference.warnings
    new = None
    if distinct is not None and reference.everything is not None:
        new = int((~contains(reference.everything(), distinct.hashes)).sum())
    fcd = None
    if reference.has_molecules:
        fcd, of_fcd = _fcd(drawn.items, reference, progress)
        warnings += of_fcd
    else:
        warnings.append(f"no FCD: the model {reference.name} keeps no molecules to measure it against, give a data set")
    measured = measure_suite(first, reference.prepared, workers, progress) if first and reference.prepared else None
    return Scores(
        name,
        counts.requested,
        source,
        reference.name,
        reference.known_name,
        new,
        summary,
        fcd,
        measured,
        tuple(warnings),
        duplicates,
        changed,
    )


def _no_suite(name: str | None) -> InputError:
    choices = f"{', '.join(PUBLIC)} or a prepared folder"
    given = "and no reference is given" if name is None else f"not with {name}"
    return InputError(f"the suite compares with the parts of a data set ({choices}), {given}", "suite")


def _asked_for(
    summary: Summary, name: str, num: int | None, record: RunRecord | None
) -> tuple[Summary, str, list[str]]:
    """The summary with all molecules asked for as its N, where that number comes from, and warnings."""
    rows = summary.requested
    if num is not None:
        if num < rows:
            raise InputError(f"{name} has {rows} rows, more than the {num} molecules asked for", "num")
        missing = {"not in the file": num - rows} if num > rows else {}
        return replace(summary, requested=num, reasons=summary.reasons | missing), "--num", []
    if record is None:
        return summary, "rows of the file", []
    # The record counts the failures, which are not in the file; it is believed if the file is as it was written.
    if not record.fits or summary.valid != rows:
        text = f"{record.path} does not fit {name} (changed since it was generated?): N is the rows of the file"
        return summary, "rows of the file", [text]
    summary = replace(
        summary,
        requested=record.requested,
        sanitised=record.sanitised,
        valid=record.valid,
        reasons=record.reasons,
    )
    return summary, f"run record {record.path.name}", []


def _fcd(smiles: list[str], reference: Reference, progress: Progress) -> tuple[Fcd, list[str]]:
    """The FCD of valid molecules, and what is to be said of it."""
    activations = chemnet_activations(smiles, progress)
    fcd = reference.fcd(activations)
    warnings = []
    if fcd.molecules < len(smiles):
        warnings.append(f"the FCD leaves out {len(smiles) - fcd.molecules} molecules with SMILES too long for ChemNet")
    warnings += fcd_warnings(fcd)
    if fcd.floor is None and fcd.fcd is not None:
        warnings.append(f"no floor: {reference.name} has no {fcd.molecules:,} molecules beside those of the FCD")
    return fcd, warnings


Line = tuple[str, str, str, str]


def _share_line(share: Share) -> Line:
    percent = "-" if share.share is None else f"{share.share:.2%}"
    return share.metric, percent, f"{share.count:,}", f"{share.total:,} {share.of}"


def _fcd_lines(fcd: Fcd) -> Iterator[Line]:
    yield "", "value", "molecules", "against"
    against = f"{fcd.reference_molecules:,} of {fcd.reference}"
    for label, value in (("FCD", fcd.fcd), ("floor", fcd.floor)):
        number, count = ("-", "-") if value is None else (f"{value:.3f}", f"{fcd.molecules:,}")
        yield label, number, count, against


def _suite_lines(suite: Suite) -> Iterator[Line]:
    empty = [""] * (2 - len(suite.parts))
    first, second = (*suite.parts, *empty)
    yield "suite", first, second, f"{suite.molecules:,} molecules"
    for name in suite.parts["test"]:
        one, other = (*(f"{part[name]:.4f}" if name in part else "" for part in suite.parts.values()), *empty)
        yield name, one, other, ""
    yield "", "share", "molecules", "with"
    for name, meaning in STRANGE.items():
        yield (
            name.replace("_", " "),
            f"{getattr(suite.strange, name):.2%}",
            f"{suite.molecules:,}",
            meaning.format(training=suite.training),
        )
