"""molgen score: judge a file of molecules against a reference."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from molgen.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from molgen.data.readers import Row
    from molgen.evaluation.report import Target
    from molgen.evaluation.scores import Summary
    from molgen.molecules.encoding import Decoded

PUBLIC = ("qm9", "moses")  # as in molgen.data.prepared, which is not imported before it is needed


@dataclass(frozen=True)
class Reference:
    """What molecules are compared with.

    known: sorted uint64 hashes of what is not novel.
    target: ChemNet activations [m, 512] that the FCD is measured against; None where only novelty can be told.
    floor: returns ChemNet activations of that many other real molecules, or None where there are too few.
    """

    name: str
    known: np.ndarray
    target: np.ndarray | None
    target_name: str
    floor: Callable[[int], np.ndarray | None]
    floor_name: str
    warnings: tuple[str, ...] = ()


@click.command(short_help="Judge a file of molecules: validity, uniqueness, novelty, FCD.")
@click.argument("file")
@click.option(
    "--reference",
    required=True,
    help="What to compare with: qm9, moses, a file of molecules, a folder of `molgen data`, or a model (a name of "
    "`molgen models`, or a folder). Novel are molecules outside its training part (of a file: outside the file; of a "
    "model: not trained on); the FCD is measured against its test part (of a file: against the file; of a model: no "
    "FCD, as it keeps no molecules).",
)
@click.option("--split", help="Part of the reference to measure the FCD against, test where not given.")
@click.option(
    "--suite",
    is_flag=True,
    help="Also the MOSES suite (SNN, Frag, Scaf, IntDiv, Filters, distances of properties) and GuacaMol's KL score, "
    "against the test parts of a data set, and the shares of molecules with a ring system that no training molecule "
    "has and with a ring of 8 atoms or more. The first time takes minutes for MOSES.",
)
@click.option("--smiles-column", help="Column of the SMILES in a table; found by its name or content where not given.")
@click.option(
    "--num",
    type=click.IntRange(min=1),
    help="Molecules asked for, where the file leaves out those that failed: the denominator of validity.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="JSON file for the scores.  [default: molecules.scores.json beside molecules.csv; none for standard input]",
)
@click.option(
    "--workers", type=click.IntRange(min=1), help="Processes that judge molecules; every core's where not given."
)
def command(
    file: str,
    reference: str,
    split: str | None,
    suite: bool,
    smiles_column: str | None,
    num: int | None,
    output: Path | None,
    workers: int | None,
) -> None:
    """Judge FILE, from any program: .smi, .csv, .tsv, .sdf, .parquet, also gzipped, or - for standard input.

    \b
    sanitised  RDKit accepts it as written, without radicals (of those asked for)
    valid      sanitised and one connected molecule (of those asked for)
    unique     distinct molecules (of the valid)
    novel      not in the training part of the reference (of the unique)
    V.U.N.     valid, unique and novel (of those asked for)
    FCD        Frechet ChemNet Distance, lower is better; it depends on the number of molecules
    floor      the FCD of as many real molecules: what a perfect model would reach

    The scores are printed, and written as JSON beside FILE; earlier scores there are replaced.

    Stereo and isotopes are ignored. The FCD takes at most 10,000 molecules of each side, repeats included: a fixed
    random draw of the valid ones where there are more.  Every row counts, an empty one as a failure. Where
    `molgen generate` left its run record beside FILE, the failures it counted are counted here too.

    Example: molgen score molecules.csv --reference qm9
    """
    from molgen.data.readers import expected_rows, read_molecules
    from molgen.evaluation import scores
    from molgen.evaluation.suite import SUITE_SAMPLE
    from molgen.parallel import available_cores, chunks

    workers = workers or available_cores()
    if output is None and file != "-":
        output = _scores_path(file)
    _check_output(file, output)
    if suite and not is_prepared(reference):
        raise InputError(f"--suite compares with the parts of a data set ({', '.join(PUBLIC)}), not with {reference}")
    rows = read_molecules(file, smiles_column)
    rows = chain([next(rows)], rows)  # a file that cannot be read is told before the reference is computed
    compared = _reference(reference, split, workers)
    first: list[str] = []
    drawn = scores.EvenDraw(scores.FCD_SAMPLE)

    def keep_some(verdicts: Iterable[Decoded]) -> Iterator[Decoded]:
        for part in chunks(verdicts, scores.CHUNK):
            valid = [verdict.smiles for verdict in part if verdict.valid]
            drawn.add(valid)
            if suite:
                first.extend(valid[: SUITE_SAMPLE - len(first)])
            yield from part

    with _bar("judging", expected_rows(file)) as bar:
        molecules = _counted(rows, bar.update)
        summary = scores.summarise(keep_some(scores.judge(molecules, workers)), training=compared.known)
    total = summary.requested
    summary, source, warnings = _asked_for(summary, file, num)
    warnings += compared.warnings

    fcd, fcd_warnings = _fcd(drawn.items, compared)
    warnings += fcd_warnings
    report = {
        "file": file,
        "rows": total,
        "requested_from": source,
        "reference": compared.name,
        **summary.to_json(),
        "fcd": fcd,
        "warnings": warnings,
    }
    if suite and first:
        report["suite"] = {"molecules": len(first), **_suite(first, reference, workers)}
    click.echo(_table(report, summary))
    for warning in warnings:
        click.echo(f"Warning: {warning}", err=True)
    if output:
        from molgen.files import atomic_write

        with atomic_write(output) as stream:
            stream.write(json.dumps(report, indent=1) + "\n")


def _suite(smiles: list[str], reference: str, workers: int) -> dict[str, Any]:
    from molgen.data.prepared import prepare
    from molgen.evaluation.rings import unseen_rings
    from molgen.evaluation.suite import suite_figures

    with _bar("suite", None) as bar:

        def progress(what: str, done: int, total: int) -> None:
            bar.total = total
            bar.set_description(what, refresh=False)
            bar.update(done - bar.n)

        prepared = prepare(reference)
        rings = unseen_rings(smiles, prepared, workers, progress)
        return rings | suite_figures(smiles, prepared, workers, progress)


def _fcd(smiles: list[str], compared: Reference) -> tuple[dict | None, list[str]]:
    """The FCD of valid molecules and its floor, both with the sample sizes, and warnings; None without a target."""
    from molgen.evaluation import scores

    if compared.target is None:
        return None, [f"no FCD: the model {compared.name} keeps no molecules to measure it against, give a data set"]
    with _bar("ChemNet, FILE", len(smiles)) as bar:
        activations = scores.chemnet_activations(smiles, bar.update)
    distance = scores.fcd_distance(activations, compared.target)
    real = compared.floor(len(activations))
    floor = None if real is None else scores.fcd_distance(real, compared.target)
    warnings = []
    if len(activations) < len(smiles):
        warnings.append(
            f"the FCD leaves out {len(smiles) - len(activations)} molecules with SMILES too long for ChemNet"
        )
    warnings += scores.fcd_warnings(len(activations), len(compared.target))
    if real is None and distance is not None:
        warnings.append(f"no floor: {compared.name} has no {len(activations):,} molecules beside those of the FCD")
    return {
        "fcd": distance,
        "molecules": len(activations),
        "reference": compared.target_name,
        "reference_molecules": len(compared.target),
        "floor": floor,
        "floor_of": compared.floor_name,
    }, warnings


def _reference(source: str, split: str | None, workers: int) -> Reference:
    if is_prepared(source):
        return _prepared_reference(source, split or "test")
    if split:
        raise InputError(f"--split names a part of a prepared set, as {PUBLIC[0]}; {source} has no parts")
    if Path(source).exists() and not Path(source).is_dir():
        return _file_reference(source, workers)
    return _model_reference(source)


def is_prepared(source: str) -> bool:
    """Whether a reference is a public set or a folder of `molgen data`."""
    return source in PUBLIC or (Path(source) / "meta.json").is_file()


def fcd_target(source: str, workers: int) -> Target:
    """What the FCD of a report is measured against: the test part of a data set, or a file of molecules."""
    from molgen.evaluation.report import Target

    compared = _reference(source, None, workers)
    if compared.target is None:
        raise InputError(f"the model {source} keeps no molecules to compare with; give {', '.join(PUBLIC)} or a file")
    return Target(compared.target, compared.target_name, compared.floor)


def _model_reference(source: str) -> Reference:
    from molgen.models.checkpoints import list_models, load_checkpoint

    if not Path(source).exists() and source not in (models := list_models()):
        choices = ", ".join((*PUBLIC, *models))
        raise InputError(f"no reference {source!r}; give {choices}, a file of molecules, or the folder of a model")
    model = load_checkpoint(source)
    return Reference(model.name, model.known, None, "", lambda _: None, "")


def _prepared_reference(source: str, split: str) -> Reference:
    import numpy as np

    from molgen.data.prepared import prepare
    from molgen.evaluation.scores import FCD_SAMPLE, split_activations
    from molgen.molecules.hashing import smiles_hashes

    with _bar(f"preparing {source}", None) as bar:

        def progress(stage: str, done: int, total: int | None) -> None:
            bar.total = total
            bar.set_description(stage, refresh=False)
            bar.update(done - bar.n)

        prepared = prepare(source, progress=progress)
    choices = [name for name in prepared.splits if name != "train"]
    if split not in choices:
        raise InputError(f"{source} has no part {split!r} to measure against; choose from {', '.join(choices)}")
    activations = {}
    for name in (split, "train"):
        with _bar(f"ChemNet, {prepared.name} {name}", min(prepared.splits[name], FCD_SAMPLE)) as bar:
            activations[name] = split_activations(prepared, name, bar.update)

    def floor(count: int) -> np.ndarray | None:
        return activations["train"][:count] if count <= len(activations["train"]) else None

    known = np.sort(smiles_hashes(prepared.smiles("train")))
    name = prepared.name
    return Reference(name, known, activations[split], f"{name} {split}", floor, f"{name} train")


def _file_reference(source: str, workers: int) -> Reference:
    import numpy as np

    from molgen.data.readers import read_molecules
    from molgen.evaluation.scores import FCD_SAMPLE, chemnet_activations, judge, sample
    from molgen.molecules.hashing import smiles_hashes

    with _bar(f"reading {source}", None) as bar:
        molecules = _counted(read_molecules(source), bar.update)
        verdicts = list(judge(molecules, workers))
    distinct = list(dict.fromkeys(verdict.smiles for verdict in verdicts if verdict.valid))
    if not distinct:
        raise InputError(f"{source} cannot be the reference: none of its {len(verdicts)} rows is a valid molecule")
    warnings = []
    failed = sum(not verdict.valid for verdict in verdicts)
    if failed:
        warnings.append(f"{failed} of the {len(verdicts)} rows of {source} are not valid molecules and were left out")
    mixed = sample(distinct, len(distinct))
    with _bar(f"ChemNet, {source}", min(len(mixed), FCD_SAMPLE)) as bar:
        target = chemnet_activations(mixed[:FCD_SAMPLE], bar.update)

    def floor(count: int) -> np.ndarray | None:
        others = mixed[FCD_SAMPLE : FCD_SAMPLE + count]
        return chemnet_activations(others) if 2 <= count <= len(others) else None

    known = np.sort(smiles_hashes(distinct))
    return Reference(source, known, target, source, floor, f"other molecules of {source}", tuple(warnings))


def _check_output(file: str, output: Path | None) -> None:
    if output is None:
        return
    if not output.parent.is_dir():
        raise InputError(f"the folder {output.parent} does not exist")
    for kind, path in (("the file to judge", Path(file)), ("its run record", _record_path(file))):
        if path.exists() and output.resolve() == path.resolve():
            raise InputError(f"--output {output} is {kind} and would be lost; give another name")


def _scores_path(file: str) -> Path:
    path = Path(file)
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).with_suffix(".scores.json")


def _record_path(file: str) -> Path:
    return Path(file).with_suffix(".json")


def _asked_for(summary: Summary, file: str, num: int | None) -> tuple[Summary, str, list[str]]:
    """The summary with all molecules asked for as its N, where that number comes from, and warnings."""
    from molgen.files import sha256_of

    rows = summary.requested
    if num is not None:
        if num < rows:
            raise InputError(f"--num {num} is less than the {rows} rows of {file}")
        missing = {"not in the file": num - rows} if num > rows else {}
        return replace(summary, requested=num, reasons=summary.reasons | missing), "--num", []
    record = {} if file == "-" else _run_record(_record_path(file))
    if not record:
        return summary, "rows of the file", []
    # The record counts the failures, which are not in the file; it is believed if the file is as it was written.
    if record["output_sha256"] != sha256_of(file) or summary.valid != rows:
        text = f"{_record_path(file)} does not fit {file} (changed since it was generated?): N is the rows of the file"
        return summary, "rows of the file", [text]
    changes = {name: record["counts"][name] for name in ("requested", "sanitised", "valid", "reasons")}
    return replace(summary, **changes), f"run record {_record_path(file).name}", []


def run_counts(file: str) -> dict:
    """What the run record of `molgen generate` beside a file counts, failures too; empty where there is none for it."""
    from molgen.files import sha256_of

    record = {} if file == "-" else _run_record(_record_path(file))
    return record["counts"] if record and record["output_sha256"] == sha256_of(file) else {}


def _run_record(path: Path) -> dict:
    """The record that `molgen generate` leaves beside its output; empty where there is none."""
    from molgen.data.dataset import read_json

    try:
        record = read_json(path)
    except InputError:
        return {}
    return record if "output_sha256" in record and "counts" in record else {}


def _table(report: dict, summary: Summary) -> str:
    fcd = report["fcd"]
    lines = [("", "share", "count", "of")]
    for share in summary.shares():
        percent = "-" if share.share is None else f"{share.share:.2%}"
        lines.append((share.metric, percent, f"{share.count:,}", f"{share.total:,} {share.of}"))
    if fcd:
        lines.append(("", "value", "molecules", "against"))
        against = f"{fcd['reference_molecules']:,} of {fcd['reference']}"
        for name, label in (("fcd", "FCD"), ("floor", "floor")):
            value = "-" if fcd[name] is None else f"{fcd[name]:.3f}"
            lines.append((label, value, f"{fcd['molecules']:,}" if fcd[name] is not None else "-", against))
    if "suite" in report:
        suite = report["suite"]
        figures = {part: values for part, values in suite.items() if isinstance(values, dict)}
        lines.append(("suite", *figures, *[""] * (2 - len(figures)), f"{suite['molecules']:,} molecules"))
        for name in figures["test"]:
            cells = [f"{values[name]:.4f}" if name in values else "" for values in figures.values()]
            lines.append((name, *cells, *[""] * (2 - len(cells)), ""))
        lines.append(("", "share", "molecules", "with"))
        for name, label, meaning in (
            ("unseen_rings", "unseen rings", "a ring system that no training molecule has"),
            ("large_rings", "large rings", "a ring of 8 atoms or more"),
        ):
            lines.append((label, f"{suite[name]:.2%}", f"{suite['molecules']:,}", meaning))
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    text = [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d}" for a, b, c, d in lines]
    text.append(
        f"N, the molecules requested, is from: {report['requested_from']}. Novel: not in {report['reference']}."
    )
    if fcd and fcd["floor"] is not None:
        text.append(f"Floor: as many real molecules ({fcd['floor_of']}).")
    if summary.reasons:
        text.append("Not valid: " + ", ".join(f"{count:,} {reason}" for reason, count in summary.reasons.items()))
    return "\n".join(text)


def _bar(label: str, total: int | None):
    from tqdm import tqdm

    # Only on a terminal: a log has no use for it.
    return tqdm(desc=label, total=total, unit=" molecules", disable=None, leave=False)


def _counted(items: Iterable[Row], update: Callable[[int], object]) -> Iterator[Row]:
    for item in items:
        update(1)
        yield item
