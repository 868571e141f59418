"""The report of one or several sets of molecules: what goes around in a project team.

with Report(open_reference("qm9", workers=2), load_profile("lead-like"), Path("report")) as report:
    for path in files:
        report.add(path, read_molecules(path), workers=2)
    report.write()
"""

import json
import pickle
import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType

import numpy as np
import pandas as pd
from rdkit import rdBase

import molgen
from molgen.data.readers import Row
from molgen.data.writers import CsvWriter, SdfWriter
from molgen.evaluation import admet
from molgen.evaluation.assessment import COLUMNS, QUANTITIES, assess
from molgen.evaluation.buyable import MEANING as BUYABLE
from molgen.evaluation.buyable import buyable
from molgen.evaluation.draws import EvenDraw
from molgen.evaluation.fcd import chemnet_activations, fcd_warnings
from molgen.evaluation.figures import AVERAGED, Figure, MeanFigure, figures, meanings, text_of
from molgen.evaluation.reference import Reference
from molgen.evaluation.report_page import SummaryRow, admet_rows, page
from molgen.evaluation.screening import Profile, clusters, diverse_pick, screen
from molgen.evaluation.tally import Judged, Record
from molgen.files import atomic_write
from molgen.parallel import chunks
from molgen.progress import Progress, silent

PICKED_COLUMNS = (*COLUMNS, "novel", "nearest", "similarity", "rare_rings")
CSV_COLUMNS = (*PICKED_COLUMNS, "fails")
PICKED_FROM = 100_000  # molecules that the diverse ones are picked from, an even draw where more pass
JOINED = 5  # tables of an assessment that are compared at once
SMALL = 1_000  # valid molecules below which shares and means are rough


class Report:
    """Sets of molecules against one reference and one screening profile; the folder is made if it is not there.

    sets, warnings: what was judged, and what is to be said of it; whole after `write`. Raises InputError at the start
    of the block where the reference is a model, which keeps no molecules. standardise: judge the parents of the
    molecules that `add` gets; molecules.csv then has the column "changes", too. include: of
    molgen.evaluation.extras.EXTRAS, which should be installed; their columns are the last.
    """

    def __init__(
        self,
        reference: Reference,
        profile: Profile,
        folder: Path,
        progress: Progress = silent,
        standardise: bool = False,
        include: Sequence[str] = (),
    ) -> None:
        self.reference, self.profile, self.folder, self.progress = reference, profile, folder, progress
        self.standardise = standardise
        self.included = [*(admet.COLUMNS if "admet" in include else ()), *(["buyable"] if "buyable" in include else [])]
        self.predictor = admet.predictor() if "admet" in include else None
        self.notes = {"buyable": BUYABLE} if "buyable" in include else {}  # what is included, in words
        if self.predictor:
            self.notes["admet"] = (
                f"predictions of ADMET-AI {self.predictor.version}, whose models were trained on public data of the "
                "Therapeutics Data Commons: no measurements; percentiles are among "
                f"{len(self.predictor.drugs):,} approved drugs of DrugBank"
            )
        self.sets: list[Judged] = []
        self.warnings: list[str] = []
        self.stack = ExitStack()

    def __enter__(self) -> "Report":
        self.reference.load()  # now: beside the judging it would need twice the processes
        if not self.folder.exists():
            self.folder.mkdir()
            self.stack.callback(self._leave_no_empty_folder)
        # the files appear when all is done
        self.table = CsvWriter(self.stack.enter_context(atomic_write(self.folder / "molecules.csv", "wb")))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stack.__exit__(kind, error, trace)

    def _leave_no_empty_folder(self) -> None:
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def add(
        self,
        label: str,
        rows: Iterable[Row],
        workers: int,
        requested: int | None = None,
        reasons: dict[str, int] | None = None,
        expected: int | None = None,
    ) -> None:
        """Judge one set; its rows go to molecules.csv as they are done.

        requested: molecules asked for, where the rows leave out those that failed, with the reasons of these.
        expected: about how many rows, for the progress.
        """
        frames = (self.reference.compare(frame) for frame in _joined(assess(rows, workers, self.standardise)))
        self.add_assessed(label, frames, requested, reasons, expected)

    def add_assessed(
        self,
        label: str,
        frames: Iterable[pd.DataFrame],
        requested: int | None = None,
        reasons: dict[str, int] | None = None,
        expected: int | None = None,
    ) -> None:
        """`add` for tables of `molgen.evaluation.assessment.assess` that the reference has compared."""
        done = Judged(label, requested, reasons=Counter(reasons or {}))
        done.buyable = 0 if "buyable" in self.included else None
        done.admet = admet.AdmetTally(self.predictor.drugs) if self.predictor else None
        # the rows that pass wait on the disk for the pick: of a million they would fill the memory
        with TemporaryFile(dir=self.folder) as file:
            passing = EvenDraw[tuple[int, bytes]](max(PICKED_FROM, self.profile.pick))
            for frame in (self._include(done, frame) for frame in frames):
                passes = self._take(done, frame)
                pickle.dump(frame.loc[passes, [*PICKED_COLUMNS, *self.included]], file)
                passing.add(list(enumerate(frame.loc[passes, "fingerprint"], start=done.passed)))
                done.passed += int(passes.sum())
                self.progress(f"judging {label}", done.rows, expected)
            numbers = [number for number, _ in passing.items]
            fingerprints = [fingerprint for _, fingerprint in passing.items]
            picked = [numbers[k] for k in diverse_pick(fingerprints, self.profile.pick)]
            file.seek(0)
            rows: dict[int, Record] = {}
            first = 0
            while first < done.passed:
                part = pickle.load(file)
                rows |= {k: part.iloc[k - first].to_dict() for k in picked if first <= k < first + len(part)}
                first += len(part)
        done.picked = [rows[k] for k in picked]
        done.clusters = len(clusters(fingerprints))
        self.sets.append(done)

    def _include(self, done: Judged, frame: pd.DataFrame) -> pd.DataFrame:
        """The table with the columns that are included, empty where a row is not valid; they are counted."""
        valid = frame["valid"].to_numpy(bool)
        isomers = frame["isomer"][valid].tolist()
        parts = [frame]
        if self.predictor and done.admet:
            values = np.full((len(frame), len(admet.COLUMNS)), np.nan)
            values[valid] = self.predictor.predict(isomers)
            done.admet.add(values)
            parts.append(pd.DataFrame(values.round(admet.DECIMALS), frame.index, admet.COLUMNS))
        if done.buyable is not None:
            answers = [buyable(text) for text in isomers]
            done.buyable += sum(answers)
            column = np.full(len(frame), None, object)
            column[valid] = answers
            parts.append(pd.DataFrame({"buyable": column}, frame.index))
        return pd.concat(parts, axis=1) if len(parts) > 1 else frame

    def _take(self, done: Judged, frame: pd.DataFrame) -> np.ndarray:
        """Count the rows and write them to the table; which of them pass the profile, bool [k]."""
        first = done.firsts(frame)
        screened = screen(self.profile, frame, first)
        columns = [*CSV_COLUMNS, *(["changes"] if self.standardise else []), *self.included]
        table = frame.assign(fails=screened.fails)[columns]
        for name, quantity in QUANTITIES.items():
            table[name] = table[name].astype(float).round(4) if quantity.decimals else table[name].astype("Int64")
        table.insert(0, "set", done.label)
        self.table.write(table)
        done.count(frame, first, screened)
        return np.array([not fails for fails in screened.fails], bool)

    def write(self) -> None:
        """Write report.html, summary.json, summary.md and picked.sdf."""
        every = [self._figures(done) for done in self.sets]
        usual = {name: MeanFigure.of(self.reference.assessed[name].to_numpy(float)) for name in AVERAGED}
        summary = [
            SummaryRow(
                name,
                meaning,
                [text_of(one[name]) for one in every],
                text_of(usual[name]) if name in usual else "",
            )
            for name, meaning in meanings(self.reference, every).items()
        ]
        predicted = self.notes.get("admet", "")
        outputs = {
            "report.html": page(self.sets, self.reference, self.profile, summary, self.warnings, predicted),
            "summary.md": self._markdown(summary),
            "summary.json": json.dumps(self._record(every, usual), indent=1) + "\n",
        }
        for name, text in outputs.items():
            with atomic_write(self.folder / name) as file:
                file.write(text)
        with atomic_write(self.folder / "picked.sdf", "wb") as file:
            writer = SdfWriter(file)
            rows = [
                {"set": done.label, **{key: row[key] for key in row if key not in ("valid", "reason")}}
                for done in self.sets
                for row in done.picked
            ]
            if rows:
                table = pd.DataFrame(rows)
                table.insert(0, "sample", range(1, len(table) + 1))
                writer.write(table)

    def _record(self, every: list[dict[str, Figure | int]], usual: dict[str, MeanFigure]) -> dict[str, object]:
        """What summary.json holds."""
        return {
            "molgen": molgen.__version__,
            "rdkit": rdBase.rdkitVersion,
            "python": platform.python_version(),
            "reference": self.reference.name,
            "novel": f"not in {self.reference.known_name}",
            "rare rings": f"ring systems that {self.reference.rarity}",
            "reference means": {name: one.to_json() for name, one in usual.items()},
            "profile": self.profile.name,
            **({"standardise": True} if self.standardise else {}),
            **self.notes,
            "sets": [
                {
                    "file": done.label,
                    **{name: one if isinstance(one, int) else one.to_json() for name, one in found.items()},
                    "funnel": [] if done.funnel is None else done.funnel.to_dict("records"),
                    "picked": [row["smiles"] for row in done.picked],
                    "picked rows": [int(row["row"]) for row in done.picked],
                    "reasons": dict(done.reasons.most_common()),
                    "duplicates": done.duplicates,
                    **({"standardised": done.account.standardised()} if self.standardise else {}),
                    **({"admet": _endpoints_json(done.admet)} if done.admet else {}),
                }
                for done, found in zip(self.sets, every, strict=True)
            ],
            "warnings": self.warnings,
        }

    def _figures(self, done: Judged) -> dict[str, Figure | int]:
        """The figures of a set; what is to be said of them is added to the warnings."""
        smiles, stage = [smiles for smiles, _ in done.drawn.items], f"FCD of {done.label}"
        self.progress(stage, 0, len(smiles))
        fcd = self.reference.fcd(chemnet_activations(smiles, self.progress, stage))
        found = fcd_warnings(fcd)
        if done.valid < SMALL:
            found.append(f"{done.valid:,} valid molecules: shares and means are rough, see their intervals")
        self.warnings += [f"{done.label}: {warning}" for warning in found]
        return figures(done, fcd)

    def _markdown(self, summary: list[SummaryRow]) -> str:
        titles = ["", *(_pipe_safe(done.label) for done in self.sets), _pipe_safe(self.reference.name)]
        lines = [f"# Molecules against {_pipe_safe(self.reference.name)}, profile {_pipe_safe(self.profile.name)}", ""]
        lines += [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
        lines += [f"| {row.name} | {' | '.join([*row.cells, row.reference])} |" for row in summary]
        for done in self.sets:
            assert done.funnel is not None
            lines += ["", f"## {_pipe_safe(done.label)}", "", "| rule | entered | left |", "|---|---|---|"]
            for line in done.funnel.to_dict("records"):
                lines.append(f"| {_pipe_safe(line['rule'])} | {line['entered']:,} | {line['left']:,} |")
            if done.admet:
                lines += ["", "| ADMET endpoint | | unit | mean | median percentile |", "|---|---|---|---|---|"]
                for row in admet_rows([done]):
                    lines.append(f"| {' | '.join([row.name, row.meaning, row.unit, *row.cells])} |")
        for name, note in self.notes.items():
            lines += ["", f"{name}: {note}."]
        lines += ["", *(f"Warning: {_pipe_safe(warning)}" for warning in self.warnings)]
        return "\n".join(lines).rstrip() + "\n"


def _endpoints_json(tally: admet.AdmetTally) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, (mean, percentile, count) in tally.endpoints().items():
        unit = admet.ENDPOINTS[name].unit
        found[name] = {"mean": mean, "unit": unit, "median percentile": percentile, "molecules": count}
    return found


def _joined(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """The same rows in fewer tables, which are compared with a reference faster."""
    for group in chunks(frames, JOINED):
        yield pd.concat(group, ignore_index=True)


def _pipe_safe(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
