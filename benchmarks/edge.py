"""EDGE: node parts of the model against those of the data, and whether the degrees given are those obtained.

python benchmarks/edge.py --model qm9-edge --num 10000 --seeds 0 1 2

A node part holds each atom's class, number of bonds and valence. "learned" are drawn from the model of them, "training"
and "test" are those of real molecules, drawn at random. Obtained: the share of the samples whose every atom has the
number of bonds and the valence given. Rings: bonds - atoms + 1, as the degrees given say, and the smallest set of
smallest rings of the valid molecules, as RDKit counts them.
"""

import argparse
import time

import torch
from quality import show
from rdkit import Chem

from molgen.data.prepared import prepare
from molgen.device import place
from molgen.evaluation.fcd import fcd_distance, split_activations
from molgen.evaluation.verdicts import summarise
from molgen.models.checkpoints import load_checkpoint
from molgen.models.edge.node_part_sampling import sample_node_parts
from molgen.models.edge.process import NodePart
from molgen.molecules.encoding import GraphDecoder
from molgen.molecules.parsing import parse_smiles

BATCH = 500
COLUMNS = ("obtained", "rings as given", "valid", "sanitised", "unique", "novel", "vun", "fcd")


def node_parts(backend, graphs, source: str, num: int, generator: torch.Generator):
    """Batches of node parts, sizes as in the data: those of the model, or those of the graphs."""
    sizes = sorted(graphs.by_size)
    shares = torch.tensor([float(len(graphs.by_size[size])) for size in sizes])
    drawn = torch.multinomial(shares, num, replacement=True, generator=generator)
    for position, size in enumerate(sizes):
        left = int((drawn == position).sum())
        while left > 0:
            count = min(left, BATCH)
            if source == "learned":
                yield sample_node_parts(backend.node_part, count, size, generator)
            else:
                rows = torch.randint(len(graphs.by_size[size]), (count,), generator=generator)
                yield NodePart.of(graphs.by_size[size][rows].to(torch.int64))
            left -= count


def measure(model, prepared, source: str, num: int, steps: int, seed: int) -> dict[str, float]:
    generator = torch.Generator().manual_seed(seed)
    decoder = GraphDecoder(model.vocabulary)
    verdicts, obtained, connected, obeyed = [], 0, 0, 0
    split = prepared.graphs("test" if source == "test" else "train")
    with torch.inference_mode():
        for part in node_parts(model.backend, split, source, num, generator):
            batch = model.backend.sample_bonds(part, steps=steps, generator=generator)
            got = NodePart.of(batch)
            same = (got.degree == part.degree).all(1) & (got.valence == part.valence).all(1)
            obtained += int(same.sum())
            asked = part.degree.sum(1) // 2 - part.size + 1
            for row, (nodes, pairs) in enumerate(zip(batch.nodes.numpy(), batch.pairs.numpy(), strict=True)):
                verdict = decoder.decode(nodes, pairs)
                verdicts.append(verdict)
                if verdict.valid:
                    connected += 1
                    obeyed += len(Chem.GetSSSR(parse_smiles(verdict.smiles))) == int(asked[row])
    counts = summarise(verdicts, num, model.known)
    valid = [verdict.smiles for verdict in verdicts if verdict.valid]
    return {
        "obtained": 100 * obtained / num,
        "rings as given": 100 * obeyed / max(1, connected),
        "valid": 100 * counts.valid / num,
        "sanitised": 100 * counts.sanitised / num,
        "unique": 100 * counts.unique / max(1, counts.valid),
        "novel": 100 * counts.novel / max(1, counts.unique),
        "vun": 100 * counts.novel / num,
        "fcd": fcd_distance(valid, split_activations(prepared, "test")) or float("nan"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="qm9-edge")
    parser.add_argument("--num", type=int, default=10_000)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", nargs="+", type=int, help="the model's default, where not given")
    options = parser.parse_args()
    model = load_checkpoint(options.model)
    place(model.backend, "cpu")
    prepared = prepare("qm9")
    print(f"{options.num:,} samples, seeds {options.seeds}, FCD to the test molecules\n")
    titles = ("node parts", "steps", *(name if name == "fcd" else f"{name} %" for name in COLUMNS), "samples/s")
    print(f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|")
    for source in ("learned", "training", "test"):
        for steps in options.steps or [model.backend.default_steps]:
            started = time.perf_counter()
            rows = [measure(model, prepared, source, options.num, steps, seed) for seed in options.seeds]
            rate = options.num * len(rows) / (time.perf_counter() - started)
            cells = [show([row[name] for row in rows], 3 if name == "fcd" else 2) for name in COLUMNS]
            print(f"| {source} | {steps} | {' | '.join(cells)} | {rate:.0f} |", flush=True)


if __name__ == "__main__":
    main()
