"""The methods as published beside ours: QM9, networks of about the same size, the same time on one core for each.

python benchmarks/published.py --folder runs/published

Trains each variant for --minutes on one core, unless --folder has it already, and measures its molecules as quality.py
does, with its own default sampler and evaluations. None is told known parts or targets. Those that take 500 and 6,000
evaluations, the published DiGress and EDP-GNN, draw --few molecules, the others --num.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from molgen.models.checkpoints import load_checkpoint

HERE = Path(__file__).resolve().parent
VARIANTS = {
    "edge-ours": ("--backend", "edge"),
    "edge-unmasked": ("--backend", "edge", "--masks", "false"),
    "edge-published": ("--backend", "edge", "--process", "published", "--layers", "3", "--width", "104"),
    "digress-ours": ("--backend", "digress"),
    "digress-published": ("--backend", "digress", "--network", "published", "--layers", "8"),
    "edpgnn-ours": ("--backend", "edpgnn"),
    "edpgnn-published": (
        *("--backend", "edpgnn", "--process", "published"),
        *("--layers", "4", "--width", "80", "--pair-width", "24"),
    ),
}
SLOW = ("digress-published", "edpgnn-published")
# the rates fall by the clock: the number of epochs is only a limit
ALIKE = ("--known-parts", "false", "--target-share", "0", "--samples", "0", "--evaluations", "2", "--patience", "0")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the trained models are kept")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--num", type=int, default=1000)
    parser.add_argument("--few", type=int, default=200)
    options = parser.parse_args()

    options.folder.mkdir(parents=True, exist_ok=True)
    one_core = os.environ | {"OMP_NUM_THREADS": "1"}
    for name in options.variants:
        folder = options.folder / name
        if not (folder / "model").exists():
            train = [sys.executable, "-c", "from molgen.cli import main; main()", "train", "--data", "qm9"]
            train += ["--output", str(folder), "--max-minutes", str(options.minutes), *ALIKE, *VARIANTS[name]]
            subprocess.run(train, env=one_core, check=True)
        seen = load_checkpoint(str(folder / "model")).card["training"]["molecules seen"]
        print(f"\n{name}: {seen:,} molecules seen\n", flush=True)
        measure = [sys.executable, HERE / "quality.py", "--split", "valid", "--seeds", "0", "--drafts", "1"]
        measure += ["--models", folder / "model", "--num", str(options.few if name in SLOW else options.num)]
        subprocess.run(measure, check=True)


if __name__ == "__main__":
    main()
