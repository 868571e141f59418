"""Targets: properties asked for against those obtained, over values of held-out molecules.

python benchmarks/targets.py --model moses-digress --properties qed sa logp mw --num 1000
python benchmarks/targets.py --model chembl-digress --data chembl --properties logp --guidance 0 1 --plot logp.png

Each of --num samples is asked for the values that one held-out molecule has, of all --properties at once; its size is
drawn from what the model knows of these values. Valid is of all samples; the errors are of the valid ones, in the units
of the properties, and rank is Spearman's correlation of asked and obtained. With --plot a PNG of obtained against
asked, a row for each guidance and a column for each property; dotted: 5 % and 95 % of the held-out molecules.
"""

import argparse
import platform
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from rdkit import Chem
from scipy.stats import spearmanr

from molgen.data.prepared import prepare
from molgen.device import place
from molgen.generation.faults import DRAFTS, choice
from molgen.generation.sampling import ENTRIES_PER_BATCH
from molgen.generation.wanted import Wanted
from molgen.models.checkpoints import load_checkpoint
from molgen.models.conditions import Condition
from molgen.molecules.encoding import GraphDecoder
from molgen.molecules.graph import pair_count
from molgen.molecules.properties import TARGETS, targets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="moses-digress")
    parser.add_argument("--data", default="moses")
    parser.add_argument("--split", default="valid")
    parser.add_argument("--properties", nargs="+", default=["qed", "sa", "logp", "mw"], choices=list(TARGETS))
    parser.add_argument("--guidance", nargs="+", type=float, default=[0.0])
    parser.add_argument("--num", type=int, default=1000)
    parser.add_argument("--sampler")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--drafts", type=int, default=DRAFTS, help="1: no choice")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()

    model, prepared = load_checkpoint(options.model), prepare(options.data)
    place(model.backend, "cpu")
    sampler = options.sampler or model.backend.samplers[0]
    steps = options.steps or model.backend.default_steps
    drafts = choice(model, Wanted(), options.drafts)
    table = prepared.targets(options.split)
    random = np.random.default_rng(options.seed)
    columns = [table.names.index(name) for name in options.properties]
    rows = np.flatnonzero(np.isfinite(table.values[:, columns]).all(1))
    asked = table.values[random.choice(rows, size=options.num)][:, columns]
    sizes = np.array(
        [
            random.choice(len(weights), p=weights)
            for values in asked
            for weights in [model.statistics.size_weights(dict(zip(options.properties, values.tolist(), strict=True)))]
        ]
    )
    positions_of = [model.backend.targets.index(name) for name in options.properties]
    decoder, names = GraphDecoder(model.vocabulary), list(TARGETS)
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, seed {options.seed}")
    print(f"{model.name}, {sampler}, {steps} evaluations, {options.num:,} samples, values of {options.split}\n")
    titles = ["guidance", "valid %", "distinct of valid %"]
    titles += [f"{name}: {what}" for name in options.properties for what in ("error", "spread", "rank")]
    print(f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|")
    everything = []
    for guidance in options.guidance:
        obtained, smiles = np.full(asked.shape, np.nan), [""] * options.num
        generator = torch.Generator().manual_seed(options.seed)
        with torch.inference_mode():
            for size in np.unique(sizes).tolist():
                positions = np.flatnonzero(sizes == size)
                limit = max(1, ENTRIES_PER_BATCH // (pair_count(size) + size))
                for part in np.array_split(positions, -(-len(positions) // limit)):
                    condition = Condition.nothing(size, len(part), len(model.backend.targets))
                    condition.targets[:, positions_of] = torch.tensor(asked[part])
                    batch = model.backend.sample(
                        size,
                        len(part),
                        steps=steps,
                        sampler=sampler,
                        generator=generator,
                        condition=condition,
                        guidance=guidance,
                        drafts=drafts,
                    )
                    for k, nodes, pairs in zip(part, batch.nodes.numpy(), batch.pairs.numpy(), strict=True):
                        verdict = decoder.decode(nodes, pairs)
                        if verdict.valid:
                            smiles[k] = verdict.smiles
                            values = targets(Chem.MolFromSmiles(verdict.smiles))
                            obtained[k] = [values[names.index(name)] for name in options.properties]
        valid = np.array([bool(text) for text in smiles])
        cells = [f"{guidance:g}", f"{100 * valid.mean():.2f}", f"{100 * len(set(smiles) - {''}) / valid.sum():.2f}"]
        for column in range(len(options.properties)):
            want, got = asked[valid, column], obtained[valid, column]
            cells += [f"{np.abs(got - want).mean():.3f}", f"{want.std():.3f}", f"{spearmanr(want, got).statistic:.3f}"]
        print(f"| {' | '.join(cells)} |", flush=True)
        everything.append(obtained)
    if options.plot:
        ranges = np.nanquantile(table.values[:, columns], [0.05, 0.95], axis=0)
        plot(options.properties, options.guidance, asked, everything, ranges, options.plot)


def plot(
    names: list[str],
    guidances: list[float],
    asked: np.ndarray,
    obtained: list[np.ndarray],
    ranges: np.ndarray,
    path: Path,
) -> None:
    """asked, each of obtained: [samples, names]; ranges: [2, names], drawn as dotted lines."""
    rows, columns = len(guidances), len(names)
    figure = Figure(figsize=(2.8 * columns, 2.6 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for row, (guidance, got) in enumerate(zip(guidances, obtained, strict=True)):
        for column, name in enumerate(names):
            axes, want = panels[row, column], asked[:, column]
            axes.scatter(want, got[:, column], s=4, alpha=0.5)
            axes.plot(ranges[:, column], ranges[:, column], color="black", linewidth=1)
            for edge in ranges[:, column]:
                axes.axvline(edge, color="grey", linewidth=0.8, linestyle=":")
            axes.set(xlabel=f"{name} asked", ylabel="obtained", title=f"guidance {guidance:g}")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
