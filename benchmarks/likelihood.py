"""Does the likelihood tell molecules from nonsense? Held-out molecules against the same ones with shuffled bonds.

python benchmarks/likelihood.py --model qm9-digress --num 1000
python benchmarks/likelihood.py --model qm9-digress --num 5 --repeats 200

The second: is its standard error as large as the spread of repetitions?

Shuffled: the bonds of a molecule, put on other pairs of its atoms at random; atoms and numbers of bonds stay.
"""

import argparse

import numpy as np
import torch

from molgen.data.prepared import prepare
from molgen.device import place
from molgen.models.checkpoints import Model, load_checkpoint
from molgen.molecules.graph import GraphBatch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="qm9-digress")
    parser.add_argument("--data", default="qm9")
    parser.add_argument("--split", default="test")
    parser.add_argument("--num", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, help="bound each of --num molecules so often, and look at the errors")
    options = parser.parse_args()
    model = load_checkpoint(options.model)
    place(model.backend, "cpu")
    graphs = prepare(options.data).graphs(options.split)
    size = max(graphs.by_size, key=lambda size: len(graphs.by_size[size]))
    real = graphs.by_size[size][: options.num].to(torch.int64)
    generator = torch.Generator().manual_seed(options.seed)
    if options.repeats:
        print(
            f"{model.name}: {len(real)} {options.split} molecules of {size} atoms, {options.repeats} repetitions each\n"
        )
        spread_of_repetitions(model, real, options.draws, options.repeats, generator)
        return
    order = torch.rand(real.pairs.shape, generator=generator).argsort(dim=1)
    shuffled = GraphBatch(real.nodes, real.pairs.gather(1, order))
    bounds = {
        name: model.backend.likelihood(batch, draws=options.draws, generator=generator)
        for name, batch in (("held-out", real), ("shuffled bonds", shuffled))
    }
    print(f"{model.name}: -log p in nats, {len(real)} {options.split} molecules of {size} atoms\n")
    print("| set | mean | median | 5 % to 95 % | mean standard error |")
    print("|---|---|---|---|---|")
    for name, bound in bounds.items():
        low, middle, high = np.percentile(bound.nats.numpy(), [5, 50, 95])
        mean, error = bound.nats.mean(), bound.standard_error.mean()
        print(f"| {name} | {mean:.1f} | {middle:.1f} | {low:.1f} to {high:.1f} | {error:.2f} |")
    smaller = bounds["held-out"].nats[:, None] < bounds["shuffled bonds"].nats[None, :]
    print(f"\nA held-out molecule has the smaller bound in {100 * smaller.float().mean():.2f} % of all pairs (AUC).")


def spread_of_repetitions(
    model: Model, graphs: GraphBatch, draws: int, repeats: int, generator: torch.Generator
) -> None:
    """A row for each graph: the spread of its bounds, their mean error, and how often twice the error is enough."""
    print("| molecule | mean | spread | mean standard error | ratio | mean within 2 errors % |")
    print("|---|---|---|---|---|---|")
    for row in range(len(graphs)):
        copies = graphs[torch.full((repeats,), row)]
        bound = model.backend.likelihood(copies, draws=draws, generator=generator)
        mean, spread, error = bound.nats.mean(), bound.nats.std(), bound.standard_error.mean()
        within = 100 * ((bound.nats - mean).abs() < 2 * bound.standard_error).float().mean()
        numbers = f"{mean:.2f} | {spread:.2f} | {error:.2f} | {error / spread:.2f} | {within:.0f}"
        print(f"| {row + 1} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
