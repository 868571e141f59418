"""Quality of molecules: one row for each model, sampler and number of steps, means over seeds with their spread.

python benchmarks/quality.py --models qm9-digress qm9-edpgnn qm9-nvdiff --num 10000 --seeds 0 1 2
python benchmarks/quality.py --models qm9-digress --split valid --num 2000 \\
    --samplers ancestral flow project-and-noise --steps 10 20 50 100 500

Definitions are those of `molgen score`; every share of validity is of the samples drawn. FCD is that of the valid
molecules to the split's molecules; unseen rings: of the valid molecules, those with a ring system that no training
molecule has. The last two rows are what real molecules have in equal-sized draws: the floor of the FCD, of training
molecules, and the rings of the split's own molecules.
"""

import argparse
import json
import os
import platform
import statistics
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from molgen import device
from molgen.data.prepared import prepare
from molgen.evaluation.fcd import chemnet_activations, fcd_distance, split_activations
from molgen.evaluation.strange import strange_shares
from molgen.evaluation.verdicts import summarise
from molgen.generation.faults import DRAFTS, choice
from molgen.generation.judge import judge
from molgen.generation.sampling import draw_graphs
from molgen.generation.wanted import Wanted
from molgen.models.checkpoints import load_checkpoint
from molgen.molecules.encoding import GraphDecoder
from molgen.workers import available_cores

STRANGE = ("unseen_rings", "large_rings", "unseen_surroundings")
COLUMNS = ("valid", "sanitised", "unique", "novel", "vun", *STRANGE, "fcd", "seconds")


aten = torch.ops.aten
PRODUCTS = (aten.linear, aten.matmul, aten.addmm, aten.mm, aten.bmm, aten.baddbmm)


class WideProducts(TorchDispatchMode):
    """Products of bfloat16 by way of float32, for a processor that has none, where they take many times as long.

    Those that have them add up in float32 too, so that the values are the same but for the order of the sums.
    """

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket in PRODUCTS and args[0].dtype == torch.bfloat16:
            wide = [value.float() if isinstance(value, torch.Tensor) else value for value in args]
            return func(*wide, **(kwargs or {})).bfloat16()
        return func(*args, **(kwargs or {}))


def measure(model, prepared, split, sampler, steps, num, seed, drafts, critic) -> dict[str, float]:
    decoder = GraphDecoder(model.vocabulary)
    verdicts = []
    started = time.perf_counter()
    with torch.inference_mode():
        for _, batch in draw_graphs(
            model.backend,
            model.statistics,
            num,
            sampler=sampler,
            steps=steps,
            seed=seed,
            drafts=choice(model, Wanted(), drafts),
            judge=judge(model, Wanted(), sampler, drafts) if critic else None,
        ):
            nodes, pairs = batch.nodes.numpy(), batch.pairs.numpy()
            verdicts += [decoder.decode(nodes[row], pairs[row]) for row in range(len(batch))]
    seconds = time.perf_counter() - started
    counts = summarise(verdicts, num, model.known)
    smiles = [verdict.smiles for verdict in verdicts if verdict.valid]
    fcd = fcd_distance(smiles, split_activations(prepared, split))
    return {
        "valid": 100 * counts.valid / num,
        "sanitised": 100 * counts.sanitised / num,
        "unique": 100 * counts.unique / max(1, counts.valid),
        "novel": 100 * counts.novel / max(1, counts.unique),
        "vun": 100 * counts.novel / num,
        **percentages(smiles, prepared),
        "fcd": float("nan") if fcd is None else fcd,
        "seconds": seconds,
    }


def percentages(smiles, prepared) -> dict[str, float]:
    return {name: 100 * share for name, share in strange_shares(smiles, prepared, available_cores())._asdict().items()}


def equal_draw(smiles: list[str], num: int, seed: int) -> list[str]:
    return [smiles[k] for k in np.random.default_rng(seed).permutation(len(smiles))[:num]]


def show(values: list[float], digits: int) -> str:
    mean = f"{statistics.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["qm9-digress"], help="shipped models or checkpoint folders")
    parser.add_argument("--data", default="qm9")
    parser.add_argument("--split", default="test")
    parser.add_argument("--samplers", nargs="+", help="the model's default, where not given")
    parser.add_argument("--steps", nargs="+", type=int, help="the model's default, where not given")
    parser.add_argument("--drafts", type=int, default=DRAFTS, help="of a molecule at most; 1: no choice, and no critic")
    parser.add_argument("--no-critic", dest="critic", action="store_false", help="nothing is refused for being common")
    parser.add_argument("--num", type=int, default=10_000)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--precision", choices=("float32", "bfloat16"), help="that of the machine, where not given")
    parser.add_argument("--output", help="write all figures as JSON")
    options = parser.parse_args()
    native = str(device.network_dtype("cpu")).removeprefix("torch.")
    precision = options.precision or native
    os.environ["MOLGEN_PRECISION"] = precision
    device.network_dtype.cache_clear()
    products = WideProducts() if precision != native == "float32" else nullcontext()

    prepared = prepare(options.data)
    reference = split_activations(prepared, options.split)
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
    machine += precision
    reference_text = f"FCD to {len(reference):,} {options.split} molecules"
    print(f"{options.num:,} samples, seeds {options.seeds}, {reference_text}; {machine}\n")
    titles = ("model", "sampler", "evaluations", "valid %", "sanitised %", "unique %", "novel %", "V.U.N. %")
    titles += ("unseen rings %", "rings of 8+ %", "unseen surroundings %")
    titles += ("FCD", "molecules/s", "parameters", "core minutes of training")
    print(f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|")
    records = []
    for name in options.models:
        model = load_checkpoint(name)
        device.place(model.backend, "cpu")
        parameters = sum(tensor.numel() for tensor in model.backend.parameters())
        minutes = model.card.get("training", {}).get("core minutes", "?")
        for sampler in options.samplers or [model.backend.samplers[0]]:
            for steps in options.steps or [model.backend.default_steps]:
                with products:
                    rows = [
                        measure(
                            model,
                            prepared,
                            options.split,
                            sampler,
                            steps,
                            options.num,
                            seed,
                            options.drafts,
                            options.critic,
                        )
                        for seed in options.seeds
                    ]
                columns = {name: [row[name] for row in rows] for name in COLUMNS}
                rate = [options.num / seconds for seconds in columns["seconds"]]
                cells = [model.name, sampler, str(steps), *(show(columns[name], 2) for name in COLUMNS[:8])]
                cells += [show(columns["fcd"], 3), show(rate, 0), f"{parameters:,}", str(minutes)]
                print(f"| {' | '.join(cells)} |", flush=True)
                setting = {"model": model.name, "sampler": sampler, "steps": steps}
                records.append(setting | {"num": options.num, "seeds": options.seeds} | columns)
    smiles = prepared.smiles("train")
    floor = [
        fcd_distance(chemnet_activations(equal_draw(smiles, options.num, seed)), reference) for seed in options.seeds
    ]
    print(f"| training molecules {'| - ' * 10}| {show(floor, 3)} | - | - | - |")
    own = prepared.smiles(options.split)
    draws = [percentages(equal_draw(own, options.num, seed), prepared) for seed in options.seeds]
    held_out = {name: [draw[name] for draw in draws] for name in draws[0]}
    print(
        f"| held-out molecules {'| - ' * 7}| {' | '.join(show(held_out[name], 2) for name in held_out)} {'| - ' * 4}|"
    )
    if options.output:
        with Path(options.output).open("w", encoding="utf-8") as file:
            record = {"split": options.split, "rows": records, "floor_fcd": floor, "held_out": held_out}
            json.dump(record, file, indent=1)


if __name__ == "__main__":
    main()
