"""One timing of molgen, run by speed.py in a process of its own: arguments in, one line of JSON out."""

import json
import os
import random
import resource
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

import molgen
from molgen.data.dataset import read_json
from molgen.data.prepared import PreparedSet, prepare
from molgen.device import network_dtype, place
from molgen.generation.faults import DRAFTS, choice
from molgen.generation.judge import judge
from molgen.generation.sampling import ENTRIES_PER_BATCH, draw_graphs
from molgen.generation.settings import SHARD_SIZE
from molgen.generation.wanted import Wanted
from molgen.models.checkpoints import MODEL, Model, build_backend, load_checkpoint
from molgen.models.edge.model import EDGE
from molgen.models.edge.process import NodePart
from molgen.molecules.encoding import GraphDecoder
from molgen.molecules.graph import GraphBatch, pair_count
from molgen.molecules.parsing import parse_smiles
from molgen.molecules.properties import properties
from molgen.training.settings import TrainSettings
from molgen.training.trainer import Trainer, TrainProgress

PARTS = {"C": 1, "CN": 2, "CO": 2, "C(=O)": 2, "C(F)": 2, "CS": 2, "C1CCN(CC1)": 6, "c1ccc(cc1)": 6, "c1cc(sc1)": 5}


def draw(model: Model, count: int, steps: int) -> list[GraphBatch]:
    """`count` molecules in shards, as `molgen generate` draws them."""
    shards = [min(SHARD_SIZE, count - start) for start in range(0, count, SHARD_SIZE)]
    sampler = model.backend.samplers[0]
    options = {"sampler": sampler, "steps": steps, "seed": 0, "drafts": choice(model, Wanted())}
    options["judge"] = judge(model, Wanted(), sampler, DRAFTS)
    return [
        batch
        for shard, samples in enumerate(shards)
        for _, batch in draw_graphs(model.backend, model.statistics, samples, shard=shard, **options)
    ]


def generation(model: Model, count: int) -> dict:
    """Rate from noise to SMILES, which is what torch-molecule gives too, and the seconds of its two stages."""
    decoder, steps = GraphDecoder(model.vocabulary), model.backend.default_steps
    draw(model, count, 2)  # warm-up of every shape
    started = time.perf_counter()
    graphs = draw(model, count, steps)
    sampled = time.perf_counter()
    decoded = [
        decoder.decode(nodes, pairs)
        for batch in graphs
        for nodes, pairs in zip(batch.nodes.numpy(), batch.pairs.numpy(), strict=True)
    ]
    done = time.perf_counter()
    return {
        "generation_rate": count / (done - started),
        "seconds": {"sampling": sampled - started, "RDKit: graph to SMILES": done - sampled},
        "steps": steps,
        "sampler": model.backend.samplers[0],
        "valid": sum(one.valid for one in decoded) / count,
    }


def property_seconds(count: int) -> float:
    """Seconds for the properties of `count` molecules of QM9."""
    molecules = [parse_smiles(text) for text in prepare("qm9").smiles("train")[:count]]
    properties(molecules[0])  # reads the tables of SA
    started = time.perf_counter()
    for molecule in molecules:
        properties(molecule)
    return time.perf_counter() - started


def training_rate(model: Model, data: PreparedSet, seconds: float) -> float:
    """Graphs per second of `molgen train`, once it runs evenly."""
    marks: list[tuple[float, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            untrained(model, data),
            data.graphs("train"),
            data.graphs("valid"),
            TrainSettings(evaluations=1),  # by time, none is made before the end
            Path(folder),
            model.backend_name,
            data.name,
        )

        def mark(_: TrainProgress) -> None:
            marks.append((time.perf_counter(), trainer.graphs))

        trainer.run(max_minutes=seconds / 60, report=mark)
    (start, first), (end, last) = marks[1], marks[-1]  # what came before is the warm-up
    return (last - first) / (end - start)


def training_cost(model: Model, size: int, seconds: float) -> dict:
    """Rate of training on molecules of one size, and the memory that the whole process took at most."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "joined.smi"
        choose = random.Random(0)
        file.write_text("\n".join(joined(choose, size) for _ in range(4_000)), encoding="utf-8")
        data = prepare(str(file), cache=Path(folder), max_atoms=size)
        rate = training_rate(model, data, seconds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # in KiB on Linux
    return {"atoms": size, "pairs": pair_count(size), "rate": rate, "gigabytes": peak}


def joined(choose: random.Random, size: int) -> str:
    """SMILES of `size` heavy atoms: rings and short links in a row."""
    text = ""
    while size:
        part = choose.choice([part for part, atoms in PARTS.items() if atoms <= size])
        text, size = text + part, size - PARTS[part]
    return text


def untrained(model: Model, data: PreparedSet | Model) -> Any:
    """The same network before any training, for the atoms and bonds of some data."""
    torch.manual_seed(0)
    record = read_json(model.path / MODEL)
    return build_backend(record["backend"], record["config"], data.vocabulary, data.statistics)


def one_batch(model: Model, size: int, batch: int, steps: int) -> dict:
    """Seconds that `steps` evaluations of a batch of molecules of one size take, with its atoms and bonds drawn."""
    generator = torch.Generator().manual_seed(0)
    sample = partial(model.backend.sample, size, batch, sampler=model.backend.samplers[0], generator=generator)
    sample(steps=3)  # warm-up
    started = time.perf_counter()
    sample(steps=steps)
    return {"seconds": time.perf_counter() - started, "batch": batch}


def operations(model: Model, count: int, top: int = 15) -> list[dict]:
    """The operations of torch that sampling spends its time in, by their own share."""
    draw(model, count, 2)
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        draw(model, count, model.backend.default_steps)
    rows = sorted(recorded.key_averages(), key=lambda row: -row.self_cpu_time_total)
    total = sum(row.self_cpu_time_total for row in rows)
    return [{"operation": row.key, "share": row.self_cpu_time_total / total, "calls": row.count} for row in rows[:top]]


def cost_by_size(model: Model, sizes: list[int], entries: int, steps: int) -> list[dict]:
    """Rate of molecules of each size with untrained weights, `entries` nodes and pairs in a batch."""
    backend = untrained(model, model).eval().requires_grad_(False)
    place(backend, "cpu")
    generator = torch.Generator().manual_seed(0)
    rows = []
    for size in sizes:
        count = max(1, entries // (size + pair_count(size)))
        sample = partial(backend.sample, size, count, sampler=backend.samplers[0])
        if isinstance(backend, EDGE):
            sample = partial(backend.sample_bonds, node_part(size, count))
        sample(steps=2, generator=generator)
        started = time.perf_counter()
        sample(steps=steps, generator=generator)
        seconds = time.perf_counter() - started
        rows.append({"atoms": size, "pairs": pair_count(size), "batch": count, "rate": count / seconds})
    return rows


def node_part(size: int, count: int) -> NodePart:
    """For EDGE, whose untrained model of node parts knows no molecules: carbons in rings with branches."""
    degree = torch.full((count, size), 2)
    branched = torch.arange(size // 4) * 4
    degree[:, branched], degree[:, branched + 1] = 3, 1
    return NodePart(torch.zeros_like(degree), degree, degree)


def main() -> None:
    arguments = json.loads(sys.argv[1])
    torch.set_num_threads(arguments["threads"])
    if arguments["task"] == "evaluations":  # in the precision of the others
        os.environ["MOLGEN_PRECISION"] = "float32"
    model = load_checkpoint(arguments["model"])
    place(model.backend, "cpu")
    count = arguments["count"]
    record: dict[str, Any] = {
        "parameters": sum(tensor.numel() for tensor in model.backend.parameters()),
        "dtype": str(network_dtype("cpu")).removeprefix("torch."),
        "batch_size": TrainSettings().batch_size,
        "versions": {"molgen": molgen.__version__, "torch": torch.__version__, "numpy": np.__version__},
    }
    if arguments["task"] == "peers":
        record |= generation(model, count)
        record["training_rate"] = training_rate(model, prepare(model.card["data"]["set"]), arguments["seconds"])
    elif arguments["task"] == "evaluations":
        record |= one_batch(model, arguments["size"], arguments["batch"], arguments["steps"])
    elif arguments["task"] == "profile":
        record |= generation(model, count)
        record["seconds"]["RDKit: properties"] = property_seconds(count)
        record["operations"] = operations(model, min(SHARD_SIZE, count))
    elif arguments["task"] == "training":
        record |= training_cost(model, arguments["size"], arguments["seconds"])
    else:
        record["sizes"] = cost_by_size(
            model, arguments["sizes"], min(ENTRIES_PER_BATCH, 45 * count), arguments["steps"]
        )
    print(json.dumps(record))


if __name__ == "__main__":
    main()
