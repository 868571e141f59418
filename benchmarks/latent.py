"""The latent space of a NVDiff model: does a molecule come back from it, and what does an embedding know?

python benchmarks/latent.py

Reconstruction: held-out molecules encoded and decoded, from the means of their Gaussians and from draws; exact means
the same graph.
Probe: ridge regression of two properties of QM9 (Ramakrishnan et al. 2014) on the embedding and on Morgan fingerprints
(radius 2, 2048 bits), fitted on training molecules, its strength chosen on the validation molecules, measured on the
test molecules. The properties come from the pinned package qm9pack (104 MB, fetched once).
"""

import argparse

import numpy as np
import torch
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator

from molgen.data.measured import EV, QUANTUM, quantum_properties
from molgen.data.prepared import cache_folder, prepare
from molgen.models.checkpoints import load_checkpoint
from molgen.models.noise import gaussian
from molgen.molecules.graph import GraphBatch

PROPERTIES = {"gap": ("HOMO-LUMO gap, Hartree", 1 / EV), "dipole": ("dipole moment, Debye", 1.0)}
STRENGTHS = 10.0 ** np.arange(-2, 5)
BATCH = 512


def batches(graphs, limit: int):
    """Graphs of a split, size by size, at most `limit`, with the number of molecules before each batch."""
    done = 0
    for size in sorted(graphs.by_size):
        whole = graphs.by_size[size]
        for start in range(0, len(whole), BATCH):
            if done >= limit:
                return
            batch = whole[slice(start, start + BATCH)].to(torch.int64)
            yield batch
            done += len(batch)


def reconstruction(backend, graphs, seed: int, sigma: float) -> dict[str, float]:
    """Shares of graphs, nodes and pairs that come back from node vectors `sigma` off their means."""
    generator = torch.Generator().manual_seed(seed)
    exact, nodes, pairs, count, node_count, pair_count = 0, 0, 0, 0, 0, 0
    for batch in batches(graphs, 10**9):
        mean = backend.encode(batch)
        back = backend.decode(mean + sigma * gaussian(mean, generator))
        same_nodes, same_pairs = back.nodes == batch.nodes, back.pairs == batch.pairs
        exact += int((same_nodes.all(1) & same_pairs.all(1)).sum())
        nodes, pairs = nodes + int(same_nodes.sum()), pairs + int(same_pairs.sum())
        count += len(batch)
        node_count, pair_count = node_count + same_nodes.numel(), pair_count + same_pairs.numel()
    return {"graphs": exact / count, "nodes": nodes / node_count, "pairs": pairs / pair_count}


def embedded(backend, graphs) -> np.ndarray:
    return torch.cat([backend.embed(GraphBatch(b.nodes, b.pairs)) for b in batches(graphs, 10**9)]).numpy()


def fingerprints(smiles: list[str]) -> np.ndarray:
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    return np.stack([generator.GetFingerprintAsNumPy(Chem.MolFromSmiles(one)) for one in smiles]).astype(np.float32)


def ridge(features: dict[str, np.ndarray], targets: dict[str, np.ndarray]) -> tuple[float, float]:
    """Mean absolute error and R^2 on the test molecules, of the strength that is best on the validation molecules."""
    mean, spread = features["train"].mean(0), features["train"].std(0) + 1e-6
    x = {split: (values - mean) / spread for split, values in features.items()}
    offset = targets["train"].mean()
    gram = x["train"].T.astype(np.float64) @ x["train"]
    moment = x["train"].T.astype(np.float64) @ (targets["train"] - offset)
    best = (np.inf, np.zeros(0))
    for strength in STRENGTHS:
        weights = np.linalg.solve(gram + strength * np.eye(len(gram)), moment)
        error = float(np.abs(x["valid"] @ weights + offset - targets["valid"]).mean())
        best = min(best, (error, weights), key=lambda pair: pair[0])
    residual = x["test"] @ best[1] + offset - targets["test"]
    return float(np.abs(residual).mean()), 1 - float(residual.var() / targets["test"].var())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="qm9-nvdiff")
    parser.add_argument("--train", type=int, default=20_000, help="training molecules of the probe, a fixed draw")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    model = load_checkpoint(options.model)
    prepared = prepare("qm9")
    print(f"{model.name}, {len(prepared.graphs('test')):,} test molecules\n")
    print("| decoded from | same graph % | same atoms % | same pairs % |")
    print("|---|---|---|---|")
    for name, sigma in (("means", 0.0), ("draws", model.backend.config.sigma_min)):
        back = reconstruction(model.backend, prepared.graphs("test"), options.seed, sigma)
        shares = [f"{100 * back[part]:.3f}" for part in ("graphs", "nodes", "pairs")]
        print(f"| {name} | {' | '.join(shares)} |")
    print()
    columns = [list(QUANTUM).index(name) for name in PROPERTIES]
    factors = [factor for _, factor in PROPERTIES.values()]
    known = quantum_properties(cache_folder() / "downloads")
    vectors: dict[str, dict[str, np.ndarray]] = {"embedding": {}, "Morgan fingerprint": {}}
    targets: dict[str, np.ndarray] = {}
    for split in ("train", "valid", "test"):
        smiles = prepared.smiles(split)
        rows = np.array([k for k, one in enumerate(smiles) if one in known])
        if split == "train":
            rows = np.sort(np.random.default_rng(options.seed).permutation(rows)[: options.train])
        vectors["embedding"][split] = embedded(model.backend, prepared.graphs(split))[rows]
        vectors["Morgan fingerprint"][split] = fingerprints([smiles[k] for k in rows])
        targets[split] = np.array([known[smiles[k]] for k in rows])[:, columns] * factors
    print(f"Ridge regression, {len(targets['train']):,} training and {len(targets['test']):,} test molecules\n")
    print("| property | features | numbers | mean absolute error | R^2 |")
    print("|---|---|---|---|---|")
    for column, (title, _) in enumerate(PROPERTIES.values()):
        for name, features in vectors.items():
            error, r2 = ridge(features, {split: values[:, column] for split, values in targets.items()})
            print(f"| {title} | {name} | {features['train'].shape[1]} | {error:.4f} | {r2:.3f} |")


if __name__ == "__main__":
    main()
