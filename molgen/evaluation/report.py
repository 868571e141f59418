"""The report of one or several sets of molecules: what goes around in a project team.

with Report(reference, load_profile("lead-like"), target, Path("report")) as report:
    for path in files:
        report.add(path, read_molecules(path), workers=2)
    report.write()
"""

import json
import pickle
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from rdkit import rdBase

import molgen
from molgen.data.prepared import PreparedSet
from molgen.data.readers import Row
from molgen.data.writers import CsvWriter, SdfWriter
from molgen.evaluation.assessment import COLUMNS, INTEGERS, NUMBERS, assess
from molgen.evaluation.reference import Reference
from molgen.evaluation.report_page import Judged, page
from molgen.evaluation.scores import (
    FCD_SAMPLE,
    EvenDraw,
    chemnet_activations,
    fcd_distance,
    fcd_warnings,
    split_activations,
)
from molgen.evaluation.screening import Profile, clusters, diverse_pick, screen
from molgen.evaluation.set_metrics import internal_diversity, interval
from molgen.files import atomic_write
from molgen.parallel import chunks

PICKED_COLUMNS = (*COLUMNS, "novel", "nearest", "similarity", "rare_rings")
CSV_COLUMNS = (*PICKED_COLUMNS, "fails")
SAMPLE = 1_500  # molecules that the diversity is measured on
PICKED_FROM = 100_000  # molecules that the diverse ones are picked from, an even draw where more pass
JOINED = 5  # tables of an assessment that are compared at once
SMALL = 1_000  # valid molecules below which shares and means are rough
Progress = Callable[[str, int, int | None], object]


class Target(NamedTuple):
    """What the FCD is measured against: ChemNet activations and their name, and those of other real molecules."""

    activations: np.ndarray
    name: str
    floor: Callable[[int], np.ndarray | None]


def prepared_target(prepared: PreparedSet, progress: Progress | None = None) -> Target:
    """The test part of a prepared set as target, with its training part for the floor."""
    activations = {}
    for part in ("test", "train"):
        done = 0

        def advance(count: int, part: str = part) -> None:
            nonlocal done
            done += count
            if progress is not None:
                progress(f"ChemNet, {prepared.name} {part}", done, min(prepared.splits[part], FCD_SAMPLE))

        activations[part] = split_activations(prepared, part, advance)

    def floor(count: int) -> np.ndarray | None:
        return activations["train"][:count] if count <= len(activations["train"]) else None

    return Target(activations["test"], f"{prepared.name} test", floor)


class Report:
    """Sets of molecules against one reference and one screening profile; the folder is made if it is not there."""

    def __init__(
        self, reference: Reference, profile: Profile, target: Target, folder: Path, progress: Progress | None = None
    ) -> None:
        self.reference, self.profile, self.target, self.folder = reference, profile, target, folder
        self.progress = progress or (lambda what, done, total: None)
        self.sets: list[Judged] = []
        self.warnings: list[str] = []
        self.stack = ExitStack()

    def __enter__(self) -> "Report":
        if not self.folder.exists():
            self.folder.mkdir()
            self.stack.callback(self._leave_no_empty_folder)
        # the files appear when all is done
        self.table = CsvWriter(self.stack.enter_context(atomic_write(self.folder / "molecules.csv", "wb")))
        return self

    def __exit__(self, *error: Any) -> None:
        self.stack.__exit__(*error)

    def _leave_no_empty_folder(self) -> None:
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def add(
        self,
        label: str,
        rows: Iterable[Row],
        workers: int,
        requested: int | None = None,
        reasons: dict | None = None,
        expected: int | None = None,
    ) -> None:
        """Judge one set; its rows go to molecules.csv as they are done.

        requested: molecules asked for, where the rows leave out those that failed, with the reasons of these.
        expected: about how many rows, for the progress.
        """
        frames = (self.reference.compare(frame) for frame in _joined(assess(rows, workers)))
        self.add_assessed(label, frames, requested, reasons, expected)

    def add_assessed(
        self,
        label: str,
        frames: Iterable[pd.DataFrame],
        requested: int | None = None,
        reasons: dict | None = None,
        expected: int | None = None,
    ) -> None:
        """`add` for tables of `molgen.evaluation.assessment.assess` that the reference has compared."""
        done = Judged(label, requested, reasons=Counter(reasons or {}))
        # the rows that pass wait on the disk for the pick: of a million they would fill the memory
        with TemporaryFile(dir=self.folder) as file:
            passing = EvenDraw(max(PICKED_FROM, self.profile.pick))
            for frame in frames:
                passes = self._take(done, frame)
                pickle.dump(frame.loc[passes, list(PICKED_COLUMNS)], file)
                passing.add(list(enumerate(frame.loc[passes, "fingerprint"], start=done.passed)))
                done.passed += int(passes.sum())
                self.progress(f"judging {label}", done.rows, expected)
            numbers = [number for number, _ in passing.items]
            fingerprints = [fingerprint for _, fingerprint in passing.items]
            picked = [numbers[k] for k in diverse_pick(fingerprints, self.profile.pick)]
            file.seek(0)
            rows: dict[int, dict] = {}
            first = 0
            while first < done.passed:
                part = pickle.load(file)
                rows |= {k: part.iloc[k - first].to_dict() for k in picked if first <= k < first + len(part)}
                first += len(part)
        done.picked = [rows[k] for k in picked]
        done.clusters = len(clusters(fingerprints))
        self.sets.append(done)

    def _take(self, done: Judged, frame: pd.DataFrame) -> np.ndarray:
        """Count the rows and write them to the table; which of them pass the profile, bool [k]."""
        valid = frame["valid"].to_numpy(bool)
        first = np.ones(len(frame), bool)
        first[valid] = done.distinct.add(frame["smiles"][valid].tolist())
        screened = screen(self.profile, frame, first)
        frame["fails"] = screened.fails
        table = frame[list(CSV_COLUMNS)].copy()
        for name in INTEGERS:
            table[name] = table[name].astype("Int64")
        for name in ("mw", "logp", "tpsa", "fraction_sp3", "molar_refractivity", "qed", "sa", "np", "similarity"):
            table[name] = table[name].astype(float).round(4)
        table.insert(0, "set", done.label)
        self.table.write(table)
        done.rows += len(frame)
        done.valid += int(valid.sum())
        done.novel += int((frame["novel"][valid & first] == True).sum())  # noqa: E712 it may be None
        done.with_rare_rings += int((frame["rare_rings"][valid] != "").sum())
        done.drawn.add(list(zip(frame["smiles"][valid], frame["fingerprint"][valid], strict=True)))
        done.numbers.append(frame.loc[valid, list(NUMBERS)].to_numpy(np.float32))
        done.similarity.append(frame["similarity"][valid].to_numpy(np.float32))
        done.reasons.update(frame["reason"][~valid])
        done.scaffolds.update(frame["scaffold"][valid])
        for text in frame["alerts"][valid]:
            done.alerts.update(set(filter(None, text.split("; "))))
        for text in frame["rare_rings"][valid]:
            done.rare_rings.update(set(filter(None, text.split("; "))))
        if done.funnel is None:
            done.funnel = screened.funnel
        else:
            done.funnel[["entered", "left", "failing"]] += screened.funnel[["entered", "left", "failing"]]
        return np.array([not fails for fails in screened.fails], bool)

    def write(self) -> dict:
        """Write report.html, summary.json, summary.md and picked.sdf; returns what summary.json holds."""
        figures = [self._figures(done) for done in self.sets]
        summary = self._summary(figures)
        record = {
            "molgen": molgen.__version__,
            "rdkit": rdBase.rdkitVersion,
            "python": platform.python_version(),
            "reference": self.reference.name,
            "profile": self.profile.name,
            "sets": [
                {
                    "file": done.label,
                    **figure,
                    "funnel": [] if done.funnel is None else done.funnel.to_dict("records"),
                    "picked": [row["smiles"] for row in done.picked],
                    "reasons": dict(done.reasons.most_common()),
                }
                for done, figure in zip(self.sets, figures, strict=True)
            ],
            "warnings": self.warnings,
        }
        outputs = {
            "report.html": lambda: page(self.sets, self.reference, self.profile, summary, self.warnings),
            "summary.md": lambda: self._markdown(summary),
            "summary.json": lambda: json.dumps(record, indent=1) + "\n",
        }
        for name, make in outputs.items():
            text = make()
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
        return record

    def _figures(self, done: Judged) -> dict[str, Any]:
        """The figures of a set, with the intervals of its shares and means."""
        unique = len(done.distinct.hashes)
        asked = done.rows if done.requested is None else done.requested
        numbers = np.concatenate(done.numbers) if done.numbers else np.zeros((0, len(NUMBERS)), np.float32)
        column = {name: numbers[:, k] for k, name in enumerate(NUMBERS)}
        quality = (column["qed"] >= 0.6) & (column["sa"] <= 4)
        for warning in self._small(done):
            self.warnings.append(f"{done.label}: {warning}")
        self.progress(f"FCD of {done.label}", 0, None)
        activations = chemnet_activations([smiles for smiles, _ in done.drawn.items])
        floor = self.target.floor(len(activations))
        similarity = np.concatenate(done.similarity) if done.similarity else np.zeros(0)
        return {
            "requested": asked,
            "rows": done.rows,
            "valid": _share(done.valid, asked),
            "unique": _share(unique, done.valid),
            "novel": _share(done.novel, unique),
            "V.U.N.": _share(done.novel, asked),
            "quality": _share(int(quality.sum()), asked),
            "passes the profile": _share(done.passed, asked),
            "with rare rings": _share(done.with_rare_rings, done.valid),
            "scaffolds": {"count": len(set(done.scaffolds) - {""})},
            "internal diversity": {"value": _diversity(done), "molecules": min(done.valid, SAMPLE)},
            "similarity to the nearest known": _mean(similarity),
            "FCD": {
                "value": fcd_distance(activations, self.target.activations),
                "molecules": len(activations),
                "against": f"{len(self.target.activations):,} of {self.target.name}",
                "floor": None if floor is None else fcd_distance(floor, self.target.activations),
            },
            **{name: _mean(column[name]) for name in ("mw", "logp", "tpsa", "qed", "sa", "np")},
        }

    def _small(self, done: Judged) -> list[str]:
        found = fcd_warnings(min(done.valid, FCD_SAMPLE), len(self.target.activations))
        if done.valid < SMALL:
            found.append(f"{done.valid:,} valid molecules: shares and means are rough, see their intervals")
        return found

    def _summary(self, figures: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            {"name": name, "meaning": meaning, "cells": [_cell(figure[name]) for figure in figures]}
            for name, meaning in MEANINGS.items()
        ]

    def _markdown(self, summary: list[dict[str, Any]]) -> str:
        titles = ["", *(_pipe_safe(done.label) for done in self.sets)]
        lines = [f"# Molecules against {_pipe_safe(self.reference.name)}, profile {_pipe_safe(self.profile.name)}", ""]
        lines += [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
        lines += [f"| {row['name']} | {' | '.join(row['cells'])} |" for row in summary]
        for done in self.sets:
            assert done.funnel is not None
            lines += ["", f"## {_pipe_safe(done.label)}", "", "| rule | entered | left |", "|---|---|---|"]
            for line in done.funnel.to_dict("records"):
                lines.append(f"| {_pipe_safe(line['rule'])} | {line['entered']:,} | {line['left']:,} |")
        lines += ["", *(f"Warning: {_pipe_safe(warning)}" for warning in self.warnings)]
        return "\n".join(lines).rstrip() + "\n"


MEANINGS = {
    "requested": "molecules asked for: rows of the file, or what the run record beside it says",
    "rows": "rows of the file",
    "valid": "one molecule that RDKit accepts, of those requested",
    "unique": "distinct molecules, of the valid",
    "novel": "not in the reference, of the unique",
    "V.U.N.": "valid, unique and novel, of those requested",
    "quality": "QED 0.6 or more and SA 4 or less, of those requested",
    "passes the profile": "valid, not a repeat and within all rules, of those requested",
    "with rare rings": "a ring system hardly seen in the reference, of the valid",
    "scaffolds": "distinct Murcko scaffolds",
    "internal diversity": "1 - mean Tanimoto similarity within the set",
    "similarity to the nearest known": "largest Tanimoto similarity to a molecule of the reference, mean",
    "FCD": "Frechet ChemNet Distance, 0 is best; floor: that of as many real molecules",
    "mw": "molecular weight in g/mol, mean",
    "logp": "Wildman-Crippen logP, mean",
    "tpsa": "polar surface in square angstrom, mean",
    "qed": "drug-likeness 0 to 1, mean",
    "sa": "synthetic accessibility, 1 easy to 10 hard, mean",
    "np": "natural product-likeness, mean",
}


def _share(count: int, total: int) -> dict[str, Any]:
    if not total:
        return {"share": None, "count": count, "total": total, "interval": None}
    low, high = interval(np.repeat([1.0, 0.0], [count, total - count]))
    return {"share": count / total, "count": count, "total": total, "interval": [low, high]}


def _mean(values: np.ndarray) -> dict[str, Any]:
    values = values[np.isfinite(values)]
    if not len(values):
        return {"mean": None, "interval": None, "molecules": 0}
    return {"mean": float(values.mean(dtype=float)), "interval": list(interval(values)), "molecules": len(values)}


def _cell(figure: Any) -> str:
    if isinstance(figure, int):
        return f"{figure:,}"
    if "share" in figure:
        if figure["share"] is None:
            return "-"
        low, high = figure["interval"]
        return f"{figure['share']:.1%} [{low:.1%}, {high:.1%}], {figure['count']:,} of {figure['total']:,}"
    if "mean" in figure:
        if figure["mean"] is None:
            return "-"
        low, high = figure["interval"]
        return f"{figure['mean']:.3g} [{low:.3g}, {high:.3g}]"
    if "count" in figure:
        return f"{figure['count']:,}"
    value = "-" if figure["value"] is None else f"{figure['value']:.3f}"
    text = f"{value} ({figure['molecules']:,} molecules)"
    if "floor" in figure and figure["floor"] is not None:
        text += f", floor {figure['floor']:.3f}"
    return text


def _diversity(done: Judged) -> float | None:
    """1 - mean Tanimoto similarity of all pairs of up to SAMPLE molecules; None of fewer than two."""
    items = done.drawn.items
    if len(items) < 2:
        return None
    order = np.random.default_rng(0).permutation(len(items))[:SAMPLE]
    packed = np.frombuffer(b"".join(items[k][1] for k in order), np.uint8).reshape(len(order), -1)
    diversity, _ = internal_diversity(packed)  # of the pairs of each with itself too, whose similarity is 1
    return diversity * len(order) / (len(order) - 1)


def _joined(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """The same rows in fewer tables, which are compared with a reference faster."""
    for group in chunks(frames, JOINED):
        yield pd.concat(group, ignore_index=True)


def _pipe_safe(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
