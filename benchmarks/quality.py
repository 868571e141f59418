"""Quality of molecules: one row for each model, sampler and number of steps, means over seeds with their spread.

python benchmarks/quality.py --models qm9-digress qm9-edpgnn qm9-nvdiff --num 10000 --seeds 0 1 2
python benchmarks/quality.py --models qm9-digress --split valid --num 2000 \\
    --samplers ancestral flow project-and-noise --steps 10 20 50 100 500

Definitions are those of `molgen score`; every share of validity is of the samples drawn. FCD is that of the valid
molecules to the split's molecules; the last row is the floor, equal-sized draws of training molecules.
"""

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from molgen.checkpoints import load_checkpoint
from molgen.chemistry import GraphDecoder
from molgen.generate import draw_graphs
from molgen.precision import place
from molgen.prepared import prepare
from molgen.scores import chemnet_activations, fcd_distance, split_activations, summarise

COLUMNS = ("valid", "sanitised", "unique", "novel", "vun", "fcd", "seconds")


def measure(model, prepared, split, sampler, steps, num, seed) -> dict[str, float]:
    decoder = GraphDecoder(model.vocabulary)
    verdicts = []
    started = time.perf_counter()
    with torch.inference_mode():
        for _, batch in draw_graphs(model.backend, model.statistics, num, sampler=sampler, steps=steps, seed=seed):
            nodes, pairs = batch.nodes.numpy(), batch.pairs.numpy()
            verdicts += [decoder.decode(nodes[row], pairs[row]) for row in range(len(batch))]
    seconds = time.perf_counter() - started
    counts = summarise(verdicts, num, model.known)
    fcd = fcd_distance([verdict.smiles for verdict in verdicts if verdict.valid], split_activations(prepared, split))
    return {
        "valid": 100 * counts.valid / num,
        "sanitised": 100 * counts.sanitised / num,
        "unique": 100 * counts.unique / max(1, counts.valid),
        "novel": 100 * counts.novel / max(1, counts.unique),
        "vun": 100 * counts.novel / num,
        "fcd": float("nan") if fcd is None else fcd,
        "seconds": seconds,
    }


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
    parser.add_argument("--num", type=int, default=10_000)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--output", help="write all figures as JSON")
    options = parser.parse_args()

    prepared = prepare(options.data)
    reference = split_activations(prepared, options.split)
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    reference_text = f"FCD to {len(reference):,} {options.split} molecules"
    print(f"{options.num:,} samples, seeds {options.seeds}, {reference_text}; {machine}\n")
    titles = ("model", "sampler", "evaluations", "valid %", "sanitised %", "unique %", "novel %", "V.U.N. %", "FCD")
    titles += ("molecules/s", "parameters", "training minutes")
    print(f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|")
    records = []
    for name in options.models:
        model = load_checkpoint(name)
        place(model.backend, "cpu")
        parameters = sum(tensor.numel() for tensor in model.backend.parameters())
        minutes = model.card.get("training", {}).get("minutes", "?")
        for sampler in options.samplers or [model.backend.samplers[0]]:
            for steps in options.steps or [model.backend.default_steps]:
                rows = [
                    measure(model, prepared, options.split, sampler, steps, options.num, seed) for seed in options.seeds
                ]
                columns = {name: [row[name] for row in rows] for name in COLUMNS}
                rate = [options.num / seconds for seconds in columns["seconds"]]
                cells = [model.name, sampler, str(steps), *(show(columns[name], 2) for name in COLUMNS[:5])]
                cells += [show(columns["fcd"], 3), show(rate, 0), f"{parameters:,}", str(minutes)]
                print(f"| {' | '.join(cells)} |", flush=True)
                setting = {"model": model.name, "sampler": sampler, "steps": steps}
                records.append(setting | {"num": options.num, "seeds": options.seeds} | columns)
    smiles = prepared.smiles("train")
    floor = []
    for seed in options.seeds:
        order = np.random.default_rng(seed).permutation(len(smiles))[: options.num]
        floor.append(fcd_distance(chemnet_activations([smiles[k] for k in order]), reference))
    print(f"| training molecules {'| - ' * 7}| {show(floor, 3)} | - | - | - |")
    if options.output:
        with Path(options.output).open("w", encoding="utf-8") as file:
            json.dump({"split": options.split, "rows": records, "floor_fcd": floor}, file, indent=1)


if __name__ == "__main__":
    main()
