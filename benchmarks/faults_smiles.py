"""Mutated SMILES through `molgen data` and `molgen score`: no crash, counts that add up, round trips of all kept."""

import csv
import gzip
import json
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from faults_tools import Outcome, molgen

from molgen.data.prepared import open_prepared
from molgen.files import shipped_folder
from molgen.molecules.encoding import GraphDecoder

LETTERS = [*"CNOPSFIcnops()[]=#@/\\+-123456789%.H:~*$B", "Cl", "Br", "[nH]", "[O-]", "[N+]", "[C@@H]", "[13C]", "%10"]
# QM9 is small and plain: these bring charges, stereo, isotopes, metals, large rings and salts
ODD = """
CC(=O)Oc1ccccc1C(=O)O CN1CCC[C@H]1c1cccnc1 C[N+](C)(C)CC([O-])=O [Na+].CC(=O)[O-] F/C=C/F c1ccc2c(c1)[nH]c1ccccc12
[2H]C([2H])([2H])O O=S(=O)(N)c1ccc(Cl)cc1 C1CCCCCCCCCCC1 B(O)(O)c1ccccc1 CP(=O)(OC)OC [Fe+2].[Cl-].[Cl-] C#N [C-]#[O+]
CC1=C(C(=O)N2CCCC2)SC(=N1)N OC[C@H]1O[C@@H](O)[C@H](O)[C@@H](O)[C@@H]1O c1cc2ccc3cccc4ccc(c1)c2c34 N#[N+][N-]C I(C)C
O=C1NC(=O)c2ccccc12 C[Si](C)(C)C [Se]1C=CC=C1 CC(C)(C)OC(=O)N[C@@H](Cc1ccccc1)C(=O)O Brc1ccc(I)cc1 C1=CC=[N+]([O-])C=C1
"""


def mutated(count: int, seed: int) -> Iterator[str]:
    """SMILES of QM9 and some odd ones, each with one to three changes; not empty, without white space."""
    with gzip.open(shipped_folder("datasets") / "qm9.smi.gz", "rt", encoding="utf-8") as file:
        known = [line.split()[0] for line in file][::20]
    odd, chosen = ODD.split(), random.Random(seed)
    for _ in range(count):
        text = chosen.choice(odd if chosen.random() < 0.3 else known)
        for _ in range(chosen.choice((1, 1, 2, 3))):
            text = _changed(text, chosen, known) or "C"
        yield text[:400]


def _changed(text: str, chosen: random.Random, known: list[str]) -> str:
    start, end = sorted((chosen.randrange(len(text) + 1), chosen.randrange(len(text) + 1)))
    match chosen.randrange(7):
        case 0:
            return text[:start] + text[start + 1 :]
        case 1 | 2:
            return text[:start] + chosen.choice(LETTERS) + text[start:]
        case 3 | 4:
            return text[:start] + chosen.choice(LETTERS) + text[start + 1 :]
        case 5:
            return text[:end] + text[start:]
        case _:
            return text[:start] + chosen.choice(known)[-start - 1 :]


def smiles(folder: Path, count: int, seed: int, chunk: int) -> list[Outcome]:
    """Two rows: for `molgen data` and `molgen score`, in files of `chunk` lines."""
    os.environ["MOLGEN_CACHE"] = str(folder / "cache")
    texts = mutated(count, seed)
    faults: dict[str, list[str]] = {"data": [], "score": []}
    rates = dict.fromkeys(faults, 0.0)
    kept = valid = 0
    for number, start in enumerate(range(0, count, chunk)):
        size = min(chunk, count - start)
        path = folder / f"{number}.smi"
        path.write_text("".join(f"{next(texts)}\n" for _ in range(size)), encoding="utf-8")
        begun = time.monotonic()
        found, wrong = _data(path, size, folder)
        middle = time.monotonic()
        usable, distinct, wrong_scores = _score(path, size, folder)
        rates["data"] += middle - begun
        rates["score"] += time.monotonic() - middle
        if not wrong and not wrong_scores and found > distinct:
            wrong_scores = [f"{found} kept by data, and only {distinct} distinct by score"]
        kept, valid = kept + found, valid + usable
        faults["data"] += wrong
        faults["score"] += wrong_scores
    for name, wrong in faults.items():
        for fault in wrong:
            print(f"smiles, {name}, seed {seed}: {fault}", file=sys.stderr)
    notes = {"data": f"{kept:,} kept, each comes back from its graph", "score": f"{valid:,} valid"}
    return [
        Outcome(
            f"mutated SMILES: molgen {name}", count, len(faults[name]), f"{notes[name]}; {count / rates[name]:,.0f}/s"
        )
        for name in faults
    ]


def _data(path: Path, size: int, folder: Path) -> tuple[int, list[str]]:
    """Molecules kept, and what is wrong."""
    rejects = folder / "rejects.csv"
    done = molgen("data", path, "--rejects", rejects, log=folder / "log")
    if done.code or done.crashed:
        return 0, [done.last]
    [place] = [line for line in done.told.splitlines() if line.startswith("prepared set ")]
    prepared = open_prepared(Path(place.removeprefix("prepared set").strip()))
    record, wrong = prepared.record, []
    rejected = sum(record["rejected"].values())
    with rejects.open(encoding="utf-8", newline="") as file:
        listed = sum(1 for _ in csv.reader(file)) - 1
    in_splits = sum(prepared.splits.values())
    if not size == record["rows"] == record["kept"] + rejected or (listed, in_splits) != (rejected, record["kept"]):
        wrong.append(f"of {size} rows: {record['rows']} read, {record['kept']} kept, {in_splits} in splits, {rejected}")
    seen: set[str] = set()
    decoder = GraphDecoder(prepared.vocabulary)
    for split in prepared.splits:
        texts = iter(prepared.smiles(split))
        for _, batch in sorted(prepared.graphs(split).by_size.items()):
            for nodes, pairs in zip(batch.nodes.numpy(), batch.pairs.numpy(), strict=True):
                text = next(texts)
                if decoder.decode(nodes, pairs).smiles != text:
                    wrong.append(f"{text} does not come back from its graph")
                seen.add(text)
    if len(seen) != record["kept"]:
        wrong.append(f"{record['kept']} kept, of them {len(seen)} distinct")
    return record["kept"], wrong


def _score(path: Path, size: int, folder: Path) -> tuple[int, int, list[str]]:
    """Molecules that are valid, distinct ones of these, and what is wrong."""
    output = folder / "scores.json"
    done = molgen("score", path, "--output", output, log=folder / "log")
    if done.code or done.crashed:
        return 0, 0, [done.last]
    record = json.loads(output.read_text(encoding="utf-8"))
    rejected = sum(record["reasons"].values())
    valid, distinct = record["valid"], record["unique"]
    if not (size == record["requested"] == record["rows"] == valid + rejected and valid >= distinct):
        return valid, distinct, [f"of {size} rows: {record['rows']} read, {valid} valid, {rejected} not"]
    return valid, distinct, []
