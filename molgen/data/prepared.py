"""Prepared data sets: checked, split, measured, and cached as compact tensors so that training starts in seconds."""

import hashlib
import json
import math
import os
import shutil
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from platformdirs import user_cache_dir
from safetensors.torch import save_file

import molgen
from molgen.data.dataset import GraphDataset, Statistics, read_json
from molgen.data.importing import Imported, Rejects, import_molecules
from molgen.data.measured import QUANTUM, TargetTable, measured, quantum_properties, read_table, write_table
from molgen.data.public import MOSES_WHEEL, QM9_WHEEL, fetch_wheel
from molgen.data.readers import MAX_BYTES, Row, read_molecules
from molgen.errors import DownloadError, InputError
from molgen.files import atomic_write, sha256_of, shipped_folder
from molgen.molecules.graph import GraphBatch
from molgen.molecules.properties import TARGETS
from molgen.molecules.vocabulary import Vocabulary

PUBLIC = ("qm9", "moses")
ROWS = {"qm9": 130_831, "moses": 1_936_962}
LAYOUT = 1  # of a prepared folder; raised when what `prepare` writes changes
# Molecules of a split whose properties are measured. A quarter of MOSES says as much of them as all of it, and takes
# minutes where all would take half an hour; a network is told nothing of the others.
MEASURED = 400_000
HELD_OUT = 10_000  # most molecules in valid and in test
MOSES_FILES = {"train": "train.csv.gz", "test": "test.csv.gz", "test_scaffolds": "test_scaffolds.csv.gz"}

# called with (what is being done, rows done, rows in all or None where that is not known)
Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class PreparedSet:
    """A data set on disk: meta.json, rejects.csv, and for each split its graphs and their SMILES.

    Where `prepare` was asked for columns of the user's own, each split also has values-*.safetensors, and once
    `targets` was called, targets-*.safetensors.
    """

    folder: Path
    record: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the source: "qm9", "moses", or the file's name."""
        return self.record["name"]

    @property
    def vocabulary(self) -> Vocabulary:
        """The atom classes, measured from all kept molecules (for MOSES: from its training file)."""
        return Vocabulary.from_json(self.record["vocabulary"])

    @property
    def statistics(self) -> Statistics:
        """Sizes and class shares of the training split."""
        return Statistics.from_json(self.record["statistics"])

    @property
    def splits(self) -> dict[str, int]:
        """Number of molecules in each split; train, valid and test are always there."""
        return self.record["splits"]

    @property
    def properties(self) -> tuple[str, ...]:
        """The user's own columns, as `prepare` was asked for them."""
        return tuple(self.record.get("properties", ()))

    def graphs(self, split: str) -> GraphDataset:
        """The graphs of one split. Raises InputError for an unknown split or a damaged file."""
        return GraphDataset.load(self._file(split, "safetensors"), self.vocabulary)

    def smiles(self, split: str) -> list[str]:
        """Canonical SMILES in the order of the graphs: by size ascending, then as in that size's batch."""
        path = self._file(split, "smi")
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror})") from None
        if len(lines) != self.splits[split]:
            raise InputError(
                f"{path} should hold {self.splits[split]} molecules, got {len(lines)}; delete {self.folder}"
            )
        return lines

    def targets(self, split: str, *, workers: int | None = None, progress: Progress | None = None) -> TargetTable:
        """What a network can be told of each molecule of a split, in the order of `smiles`; NaN where it has no value.

        The columns: TARGETS, for QM9 then QUANTUM, then `properties`. TARGETS are measured when first asked for, of an
        even draw of MEASURED molecules where there are more, on `workers` processes (None: one per core; some 400
        molecules per second on each), and kept in the folder. A killed call is
        gone on with by the next one. Where QM9's package cannot be fetched, the columns of QUANTUM are missing, and
        they are looked for again next time. Raises InputError for an unknown split or a damaged file.
        """
        path = self._file(split, "safetensors", "targets-")
        quantum = tuple(QUANTUM) if self.name == "qm9" else ()
        names, count = (*TARGETS, *quantum, *self.properties), self.splits[split]
        kept = read_table(path, names, count)
        if kept is not None:
            return kept
        with FileLock(path.with_suffix(".lock")):
            kept = read_table(path, names, count)  # another process may have been measuring
            if kept is not None:
                return kept
            smiles, part = self.smiles(split), path.with_suffix(".part")
            chosen = np.sort(np.random.default_rng(0).permutation(count)[:MEASURED])

            def on_progress(done: int) -> None:
                if progress is not None:
                    progress(f"measuring {self.name} {split}", done, len(chosen))

            own = self._values(split)
            found = np.full((count, len(TARGETS)), np.nan, np.float32)
            found[chosen] = measured(part, [smiles[row] for row in chosen], workers, on_progress)
            columns = [found]
            if quantum:
                try:
                    columns.append(_quantum_columns(smiles, progress))
                except DownloadError:  # nothing is kept but the part, so that the next call tries again
                    return TargetTable((*TARGETS, *self.properties), np.concatenate([*columns, own], 1))
            table = TargetTable(names, np.concatenate([*columns, own], 1))
            write_table(path, table)
            part.unlink()
            return table

    def _values(self, split: str) -> np.ndarray:
        """The user's own columns, float32 [molecules, len(properties)], in the order of `smiles`."""
        if not self.properties:
            return np.zeros((self.splits[split], 0), np.float32)
        path = self._file(split, "safetensors", "values-")
        table = read_table(path, self.properties, self.splits[split])
        if table is None:
            raise InputError(f"{path} is damaged or missing; delete {self.folder} and prepare again")
        return table.values

    def _file(self, split: str, ending: str, kind: str = "") -> Path:
        if split not in self.splits:
            raise InputError(f"{self.name} has no split {split!r}; splits: {', '.join(self.splits)}")
        return self.folder / f"{kind}{split}.{ending}"


def cache_folder() -> Path:
    """Where prepared sets and downloads are kept: $MOLGEN_CACHE, or the user's cache folder of this system."""
    return Path(os.environ.get("MOLGEN_CACHE") or user_cache_dir("molgen"))


def open_prepared(folder: Path) -> PreparedSet:
    """The set that `prepare` wrote. Raises InputError where there is none, or one of another version."""
    record = read_json(folder / "meta.json")
    if record.get("layout") != LAYOUT:
        raise InputError(f"{folder} was prepared by another version of molgen; delete it and prepare again")
    return PreparedSet(folder, record)


def prepare(
    source: str,
    *,
    smiles_column: str | None = None,
    keep_largest: bool = False,
    max_atoms: int | None = None,
    properties: tuple[str, ...] = (),
    rejects: Path | None = None,
    workers: int | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> PreparedSet:
    """A data set ready for training: from the cache, or read, checked, split and cached.

    source: "qm9", "moses", the path of a molecule file (see `read_molecules`), or a folder that was prepared before.
    properties: columns of numbers of a file, read beside the SMILES (see `read_molecules`), for
    `PreparedSet.targets`; of duplicates the first row's values stay, even where they are missing. rejects: also write
    the list of rejected rows there.

    Split of QM9 and of a file: distinct canonical SMILES, sorted, permuted with seed 0; the first tenth, at most
    10,000, is test, the next as many valid, at least one each (QM9: 10,000 each). MOSES keeps its own test and
    test_scaffolds, and 10,000 of its train are valid by the same rule. A molecule with an atom class that train would
    lack goes to train.

    Raises InputError for unusable input and DownloadError when a public set cannot be fetched.
    """
    if rejects is not None and not rejects.resolve().parent.is_dir():
        raise InputError(f"the folder {rejects.resolve().parent} does not exist")
    if source not in PUBLIC and (Path(source) / "meta.json").is_file():
        prepared = open_prepared(Path(source))
        if properties and properties != prepared.properties:
            have = ", ".join(prepared.properties) or "none"
            raise InputError(f"{source} was not prepared with the columns {', '.join(properties)}; it has {have}")
        return _give(prepared, rejects)
    _check_properties(source, properties)
    cache = cache or cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {"smiles_column": smiles_column, "keep_largest": keep_largest, "max_atoms": max_atoms}
    if properties:  # not as an empty list: sets that were prepared before there were properties keep their key
        options["properties"] = list(properties)
    with _source_file(source, cache) as path:
        digest = MOSES_WHEEL.sha256 if source == "moses" else sha256_of(path)
        # canonical SMILES, and with them the split, may change with RDKit
        key = hashlib.sha256(json.dumps([LAYOUT, version("rdkit"), digest, options]).encode()).hexdigest()[:12]
        name = source if source in PUBLIC else ("stdin" if source == "-" else Path(source).name)
        folder = cache / f"{''.join(c if c.isalnum() or c in '._-' else '_' for c in name)[:80]}-{key}"
        with FileLock(cache / f"{folder.name}.lock"):
            if not (folder / "meta.json").is_file():
                work = cache / f".{folder.name}.part"
                shutil.rmtree(work, ignore_errors=True)  # of a run that was killed
                work.mkdir()
                try:
                    versions = {"molgen": molgen.__version__, "rdkit": version("rdkit")}
                    record = {"layout": LAYOUT, **versions, "name": name, "sha256": digest, **options}
                    _build(name, path, work, record, options, rejects, workers, progress)
                    shutil.rmtree(folder, ignore_errors=True)
                    work.replace(folder)
                finally:
                    shutil.rmtree(work, ignore_errors=True)
            return _give(open_prepared(folder), rejects)


def split_rows(smiles: list[str], test: int, valid: int) -> np.ndarray:
    """Which split each distinct canonical SMILES belongs to: uint8 [k], 0 train, 1 valid, 2 test.

    Depends on the set of SMILES alone, not on their order: sorted, then permuted with seed 0; first test, then valid.
    """
    order = np.array(sorted(range(len(smiles)), key=smiles.__getitem__), np.int64)
    order = order[np.random.default_rng(0).permutation(len(smiles))]
    split = np.zeros(len(smiles), np.uint8)
    split[order[:test]] = 2
    split[order[test : test + valid]] = 1
    return split


@contextmanager
def _source_file(source: str, cache: Path) -> Iterator[Path]:
    """The file to read; standard input is copied first, since its content decides the name in the cache."""
    if source == "qm9":
        yield shipped_folder("datasets") / "qm9.smi.gz"
    elif source == "moses":
        yield cache / "downloads"  # where it is fetched to, when it is needed
    elif source == "-":
        with tempfile.TemporaryDirectory(prefix="molgen-") as temporary:
            path = Path(temporary) / "stdin.smi"
            with path.open("wb") as file:
                size = 0
                while piece := sys.stdin.buffer.read(1 << 20):
                    size += file.write(piece)
                    if size > MAX_BYTES:
                        raise InputError(f"standard input is larger than {MAX_BYTES / 1e6:,.0f} MB")
            yield path
    elif not Path(source).exists():
        raise InputError(f"no data set and no file is called {source!r}; data sets: {', '.join(PUBLIC)}")
    else:
        read_molecules(source)  # says what is wrong with a name before anything is done
        yield Path(source)


def _build(
    name: str,
    path: Path,
    folder: Path,
    record: dict[str, Any],
    options: dict[str, Any],
    rejects: Path | None,
    workers: int | None,
    progress: Progress | None,
) -> None:
    counts: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    splits: dict[str, int] = {}
    vocabulary = None
    try:
        with (folder / "rejects.csv").open("w", encoding="utf-8", newline="") as file:
            on_reject = Rejects(file)
            for part, rows in _parts(name, path, options, progress):
                stage, before = f"preparing {name}", counts["rows"]

                def on_progress(done: int, stage: str = stage, before: int = before) -> None:
                    if progress is not None:
                        progress(stage, before + done, ROWS.get(name))

                found = import_molecules(
                    rows,
                    vocabulary=vocabulary,
                    max_atoms=options["max_atoms"],
                    keep_largest=options["keep_largest"],
                    workers=workers,
                    on_reject=on_reject,
                    on_progress=on_progress,
                )
                rejected.update(found.rejected)
                counts.update(
                    rows=found.rows,
                    kept=len(found.smiles),
                    stereo_dropped=found.stereo,
                    isotopes_dropped=found.isotopes,
                    fragments_dropped=found.fragments,
                )
                vocabulary = found.vocabulary
                for split, graphs, positions in _divide(name, part, found):
                    smiles = [found.smiles[position] for position in positions]
                    if split == "train":
                        record["vocabulary"] = vocabulary.to_json()
                        record["statistics"] = graphs.statistics().to_json()
                    splits[split] = len(smiles)
                    save_file(graphs.tensors(), folder / f"{split}.safetensors")
                    (folder / f"{split}.smi").write_text("\n".join(smiles) + "\n", encoding="utf-8", newline="\n")
                    if "properties" in options:
                        values = np.array([found.values[position] for position in positions], np.float32)
                        table = TargetTable(tuple(options["properties"]), values)
                        write_table(folder / f"values-{split}.safetensors", table)
                del found
    finally:
        if rejects is not None:  # where nothing could be used, this list says why
            _copy(folder / "rejects.csv", rejects)
    record |= {**counts, "rejected": dict(rejected.most_common()), "splits": splits}
    (folder / "meta.json").write_text(json.dumps(record, indent=1), encoding="utf-8")


def _parts(
    name: str, path: Path, options: dict[str, Any], progress: Progress | None
) -> Iterator[tuple[str, Iterator[Row]]]:
    if name != "moses":
        label = "standard input" if name == "stdin" else None
        properties = tuple(options.get("properties", ()))
        yield "", read_molecules(path, options["smiles_column"], label=label, properties=properties)
        return
    if progress is not None:
        progress(f"fetching {MOSES_WHEEL.filename} (52 MB)", 0, None)
    path = fetch_wheel(MOSES_WHEEL, path)
    with zipfile.ZipFile(path) as wheel:
        for part, filename in MOSES_FILES.items():
            with tempfile.TemporaryDirectory(prefix="molgen-") as temporary:
                unpacked = wheel.extract(f"moses/dataset/data/{filename}", temporary)
                yield part, (row._replace(name=part) for row in read_molecules(unpacked))


def _divide(name: str, part: str, found: Imported) -> Iterator[tuple[str, GraphDataset, list[int]]]:
    """The splits that the molecules of one file are divided into, and the positions in `found` of each one's graphs."""
    total = len(found.smiles)
    if part in ("test", "test_scaffolds"):
        yield part, *_select(found, np.zeros(total, np.uint8), 0)
        return
    if total < 3:
        raise InputError(f"only {total} usable molecules; train, valid and test need one each")
    held = HELD_OUT if name in PUBLIC else min(HELD_OUT, max(1, total // 10))
    split = split_rows(found.smiles, 0 if part == "train" else held, held)
    names = ("train", "valid") if part == "train" else ("train", "valid", "test")
    _complete_train(found, split, len(names))
    for code, split_name in enumerate(names):
        yield split_name, *_select(found, split, code)


def _complete_train(found: Imported, split: np.ndarray, codes: int) -> None:
    """Move to train, in place, what holds an atom class that train lacks: its share there would be 0."""
    present = np.zeros(len(found.vocabulary.atoms), bool)
    for positions, nodes, _ in found.by_size.values():
        present[np.unique(nodes[split[positions] == 0])] = True
    if not present.all():
        for positions, nodes, _ in found.by_size.values():
            split[positions[~present[nodes].all(1)]] = 0
    if set(split.tolist()) < set(range(codes)):
        raise InputError("too few molecules: those held out have atom types that no other molecule has")


def _select(found: Imported, split: np.ndarray, code: int) -> tuple[GraphDataset, list[int]]:
    by_size, order = {}, []
    for size, (positions, nodes, pairs) in found.by_size.items():
        chosen = split[positions] == code
        if chosen.any():
            by_size[size] = GraphBatch(torch.from_numpy(nodes[chosen]), torch.from_numpy(pairs[chosen]))
            order += positions[chosen].tolist()
    return GraphDataset(found.vocabulary, by_size), order


def _check_properties(source: str, properties: tuple[str, ...]) -> None:
    """Raise InputError for the user's columns where there can be none, or where their names would be ambiguous."""
    if properties and source in PUBLIC:
        raise InputError(f"{source} has no columns of its own; a property column is one of your own file")
    for name in properties:
        if name in TARGETS:
            raise InputError(f"molgen computes {name!r} itself; give that column of {source} another name")
        if properties.count(name) > 1:
            raise InputError(f"the property column {name!r} is named twice")


def _quantum_columns(smiles: list[str], progress: Progress | None) -> np.ndarray:
    """QUANTUM of molecules of QM9, float32 [molecules, len(QUANTUM)]. Raises DownloadError."""
    if progress is not None:
        progress(f"reading {QM9_WHEEL.filename} (104 MB, fetched once)", 0, None)
    known = quantum_properties(cache_folder() / "downloads")
    unknown = [math.nan] * len(QUANTUM)
    return np.array([known.get(text, unknown) for text in smiles], np.float32).reshape(-1, len(QUANTUM))


def _give(prepared: PreparedSet, rejects: Path | None) -> PreparedSet:
    if rejects is not None:
        _copy(prepared.folder / "rejects.csv", rejects)
    return prepared


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as original, atomic_write(target, "wb") as file:
        shutil.copyfileobj(original, file)
