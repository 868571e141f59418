"""Analogues: held-out molecules as leads. How many molecules are as similar as asked for, and how many are real?

python benchmarks/analogues.py --model moses-digress --num 200 --samples 100

Each of --num molecules of the split is a lead, for which --samples molecules are drawn after the noise has been chosen.
Valid: of the samples. In the window: valid, another molecule than the lead, and as similar as asked for; of the valid.
Distinct: of those in the window, for each lead. Real: distinct ones in the window that are in the split themselves, and
so real molecules that the model has not seen; those of its training part are counted apart. Without analogues: leads
for which none was found.
"""

import argparse
import platform
import time
from collections import Counter

import numpy as np
import torch

import molgen
from molgen.data.prepared import prepare
from molgen.errors import InputError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="moses-digress")
    parser.add_argument("--data", default="moses")
    parser.add_argument("--split", default="test")
    parser.add_argument("--num", type=int, default=200, help="leads")
    parser.add_argument("--samples", type=int, default=100, help="for each lead")
    parser.add_argument("--similarity", default="0.5:0.8")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    model, real = molgen.load_model(options.model), prepare(options.data).smiles(options.split)
    held_out = set(real)
    leads = np.random.default_rng(options.seed).choice(len(real), options.num, replace=False)
    found: Counter[str] = Counter()
    noises: list[float] = []
    started = time.perf_counter()
    for number, lead in enumerate(leads):
        try:
            drawn = model.sample(
                options.samples, like=real[lead], similarity=options.similarity, seed=options.seed + number
            )
        except InputError:  # at no noise is one in the window
            found["without"] += 1
            continue
        noises.append(drawn.settings.noise or 0.0)
        distinct = drawn.rows.drop_duplicates("smiles")
        found["samples"] += drawn.summary.requested
        found["valid"] += drawn.summary.valid
        found["window"] += len(drawn.rows)
        found["distinct"] += len(distinct)
        found["known"] += int((~distinct.novel).sum())
        found["real"] += int(distinct.smiles.isin(held_out).sum())
    seconds = time.perf_counter() - started
    figures = {
        "model": options.model,
        "leads": f"{options.num} of {options.split}",
        "similarity": options.similarity,
        "noise, mean": f"{np.mean(noises):.2f}",
        "valid %": f"{100 * found['valid'] / found['samples']:.2f}",
        "in the window %": f"{100 * found['window'] / found['valid']:.2f}",
        "distinct %": f"{100 * found['distinct'] / found['window']:.2f}",
        "real, held out": f"{found['real']} of {found['distinct']}",
        "real, training": f"{found['known']} of {found['distinct']}",
        "without analogues": str(found["without"]),
        "seconds for a lead": f"{seconds / options.num:.1f}",
    }
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, seed {options.seed}\n")
    print(f"| {' | '.join(figures)} |\n{'|---' * len(figures)}|\n| {' | '.join(figures.values())} |")


if __name__ == "__main__":
    main()
