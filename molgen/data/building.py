"""A prepared set is built: rows are judged, divided and written into a folder, with the account of all of them."""

import json
import shutil
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import save_file

from molgen.data.importing import REPEATS, STEREOISOMERS, Imported, import_molecules
from molgen.data.measured import TargetTable, write_table
from molgen.data.public import PUBLIC
from molgen.data.record import Options, origin
from molgen.data.rejects import Changes, Rejects
from molgen.data.sources import Source
from molgen.data.splitting import Split, divide
from molgen.files import atomic_write, sealed, sha256_of
from molgen.progress import Progress

REJECTS, CHANGES = "rejects.csv", "changes.csv"


def build(
    source: Source,
    folder: Path,
    options: Options,
    rejects: Path | None,
    workers: int | None,
    progress: Progress | None,
) -> None:
    """Write what `molgen.data.prepared.prepare` keeps of a source into an empty folder; the record last.

    rejects: where the list of rejected rows goes, too, even where no row can be used, for which InputError is raised.
    """
    counts: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    duplicates: Counter[str] = Counter()
    changes: Counter[str] = Counter()
    splits: dict[str, int] = {}
    measured: dict[str, object] = {}
    vocabulary = None
    try:
        with ExitStack() as lists:
            on_reject = Rejects(lists.enter_context(_list(folder / REJECTS)))
            on_change = Changes(lists.enter_context(_list(folder / CHANGES))) if options.standardise else None
            for part, rows in source.parts(progress):
                found = import_molecules(
                    rows,
                    vocabulary=vocabulary,
                    max_atoms=options.max_atoms,
                    keep_largest=options.keep_largest,
                    standardise=options.standardise,
                    workers=workers,
                    on_reject=on_reject,
                    on_change=on_change,
                    progress=_as_part(source, counts["rows"], progress),
                )
                rejected.update(found.rejected)
                duplicates.update(found.duplicates)
                changes.update({"rows": found.changed, **found.changes})
                counts.update(
                    rows=found.rows,
                    kept=len(found.smiles),
                    stereo_dropped=found.stereo,
                    isotopes_dropped=found.isotopes,
                    fragments_dropped=found.fragments,
                )
                vocabulary = found.vocabulary
                for split in divide(found, part, public=source.name in PUBLIC):
                    if split.name == "train":
                        measured = {
                            "vocabulary": vocabulary.to_json(),
                            "statistics": split.graphs.statistics().to_json(),
                        }
                    splits[split.name] = len(split.positions)
                    _write_split(folder, split, found, options.properties)
                del found
    finally:
        if rejects is not None:  # where nothing could be used, this list says why
            copy_list(folder / REJECTS, rejects)
    account = {**counts, "rejected": dict(rejected.most_common()), "splits": splits}
    if duplicates:
        account["duplicates"] = {kind: duplicates[kind] for kind in (STEREOISOMERS, REPEATS)}
    if options.standardise:
        account["standardised"] = dict(changes.most_common())
    column = source.column()
    read = {} if column is None else {"column": column}
    files = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
    record = sealed({**origin(source, options), **read, **measured, **account, "files": files})
    (folder / "meta.json").write_text(json.dumps(record, indent=1), encoding="utf-8")


def copy_list(source: Path, target: Path) -> None:
    """Copy a list of rows to where the user wants it."""
    with source.open("rb") as original, atomic_write(target, "wb") as file:
        shutil.copyfileobj(original, file)


def _list(path: Path) -> IO[str]:
    return path.open("w", encoding="utf-8", newline="")


def _as_part(source: Source, before: int, progress: Progress | None) -> Progress | None:
    """The progress of reading one part, told as that of preparing the whole, `before` rows of which are done."""
    if progress is None:
        return None
    return lambda _stage, done, _total: progress(f"preparing {source.name}", before + done, source.rows)


def _write_split(folder: Path, split: Split, found: Imported, properties: tuple[str, ...]) -> None:
    path = folder / f"{split.name}.safetensors"
    try:
        save_file(split.graphs.tensors(), path)
    except SafetensorError as error:  # a full disk, for example
        raise OSError(f"{path} cannot be written ({error})") from None
    smiles = "".join(f"{found.smiles[position]}\n" for position in split.positions)
    (folder / f"{split.name}.smi").write_text(smiles, encoding="utf-8", newline="\n")
    if properties:
        values = np.array([found.values[position] for position in split.positions], np.float32)
        write_table(folder / f"values-{split.name}.safetensors", TargetTable(properties, values))
