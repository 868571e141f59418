"""Isomers from a formula: do the molecules have it, and is a molecule that the model never saw among them?

python benchmarks/formula.py --models qm9-edge qm9-digress --formulas 200 --num 1000

The formulas are distinct ones of test molecules, a fixed draw. Exact means: of the molecules that RDKit accepts, the
share with that formula. Found: the share of formulas for which the very test molecule is among the samples.
"""

import argparse
import time

import numpy as np
import torch
from rdkit.Chem.rdMolDescriptors import CalcMolFormula
from tqdm import tqdm

from molgen.data.prepared import prepare
from molgen.device import place
from molgen.generation.faults import DRAFTS, choice
from molgen.generation.sampling import draw_graphs
from molgen.generation.wanted import Wanted
from molgen.models.checkpoints import load_checkpoint
from molgen.molecules.composition import formula_request
from molgen.molecules.encoding import GraphDecoder
from molgen.molecules.parsing import parse_smiles


def held_out(smiles: list[str], count: int, seed: int) -> dict[str, str]:
    """`count` distinct formulas of molecules without overall charge, each with the molecule it was taken from."""
    found: dict[str, str] = {}
    for position in np.random.default_rng(seed).permutation(len(smiles)):
        found.setdefault(CalcMolFormula(parse_smiles(smiles[position])), smiles[position])
        if len(found) == count:
            break
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["qm9-edge"])
    parser.add_argument("--data", default="qm9")
    parser.add_argument("--split", default="test")
    parser.add_argument("--formulas", type=int, default=200)
    parser.add_argument("--num", type=int, default=1000, help="samples for each formula")
    parser.add_argument("--guidance", type=float, default=0.0, help="weight of the hydrogens, of models that hear them")
    parser.add_argument("--drafts", type=int, default=DRAFTS, help="1: no choice")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    asked = held_out(prepare(options.data).smiles(options.split), options.formulas, options.seed)
    print(
        f"{len(asked)} formulas of {options.split} molecules of {options.data}, {options.num:,} samples each, "
        f"guidance {options.guidance:g}, seed {options.seed}\n"
    )
    titles = ("model", "evaluations", "sanitised %", "valid %", "exact % of sanitised", "distinct isomers, median")
    titles += ("test molecule found %", "samples/s")
    print(f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|")
    for name in options.models:
        model = load_checkpoint(name)
        place(model.backend, "cpu")
        decoder, drafts = GraphDecoder(model.vocabulary), choice(model, Wanted(), options.drafts)
        steps, sampler = model.backend.default_steps, model.backend.samplers[0]
        sanitised = valid = exact = found = 0
        isomers, seconds = [], 0.0
        progress = tqdm(asked.items(), desc=model.name)
        for text, wanted in progress:
            request = formula_request(text, model.vocabulary, model.statistics.sizes)
            started = time.perf_counter()
            verdicts = []
            with torch.inference_mode():
                drawn = draw_graphs(
                    model.backend,
                    model.statistics,
                    options.num,
                    sampler=sampler,
                    steps=steps,
                    seed=options.seed,
                    wanted=Wanted(request=request, guidance=options.guidance),
                    drafts=drafts,
                )
                for _, batch in drawn:
                    nodes, pairs = batch.nodes.numpy(), batch.pairs.numpy()
                    verdicts += [decoder.decode(nodes[row], pairs[row]) for row in range(len(batch))]
            seconds += time.perf_counter() - started
            fine = [verdict for verdict in verdicts if verdict.sanitised]
            matching = [verdict for verdict in fine if request.matched_by(parse_smiles(verdict.smiles))]
            distinct = {verdict.smiles for verdict in matching if verdict.valid}
            sanitised += len(fine)
            valid += sum(verdict.valid for verdict in fine)
            exact += len(matching)
            found += wanted in distinct
            isomers.append(len(distinct))
            progress.set_postfix(exact=exact, sanitised=sanitised, found=found)
        total = options.num * len(asked)
        cells = [model.name, str(steps), f"{100 * sanitised / total:.2f}", f"{100 * valid / total:.2f}"]
        cells += [f"{100 * exact / max(1, sanitised):.2f}", f"{np.median(isomers):.0f}"]
        cells += [f"{100 * found / len(asked):.1f}", f"{total / seconds:.0f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
