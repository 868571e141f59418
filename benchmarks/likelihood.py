"""Does the likelihood tell molecules from nonsense? Held-out molecules against the same ones with shuffled bonds.

python benchmarks/likelihood.py --model qm9-digress --num 1000

Shuffled: the bonds of a molecule, put on other pairs of its atoms at random; atoms and numbers of bonds stay.
"""

import argparse

import numpy as np
import torch

from molgen.data.prepared import prepare
from molgen.device import place
from molgen.models.checkpoints import load_checkpoint
from molgen.molecules.graph import GraphBatch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="qm9-digress")
    parser.add_argument("--data", default="qm9")
    parser.add_argument("--split", default="test")
    parser.add_argument("--num", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    model = load_checkpoint(options.model)
    place(model.backend, "cpu")
    graphs = prepare(options.data).graphs(options.split)
    size = max(graphs.by_size, key=lambda size: len(graphs.by_size[size]))
    real = graphs.by_size[size][: options.num].to(torch.int64)
    generator = torch.Generator().manual_seed(options.seed)
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


if __name__ == "__main__":
    main()
