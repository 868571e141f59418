"""MOSES' own metrics and GuacaMol's own KL code on two files of SMILES, run by agreement.py in a process of its own.

Neither runs as it is on today's pandas, NumPy, SciPy and RDKit: what they miss is put in place before the import.
"""

import json
import pickle
import sys
import time
import types
from pathlib import Path

import numpy as np
import pandas as pd
import scipy
from rdkit import RDLogger
from rdkit.Chem import AllChem, rdFingerprintGenerator
from scipy.spatial import distance

APART = ("SNN", "Frag", "Scaf", "FCD")  # for each test set
TOGETHER = ("IntDiv", "IntDiv2", "Filters", "logP", "SA", "QED", "weight")
RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]
_cosine = distance.cosine
# the counts of fragments of a large set overflow: the squares of whole numbers are whole numbers of 64 bits
distance.cosine = lambda one, other: _cosine(np.asarray(one, float), np.asarray(other, float))
np.NaN = np.nan
scipy.histogram = np.histogram
six = types.ModuleType("rdkit.six")
six.iteritems = lambda mapping: iter(mapping.items())  # type: ignore[attr-defined]
six.moves = types.ModuleType("rdkit.six.moves")  # type: ignore[attr-defined]
six.moves.cPickle = pickle  # type: ignore[attr-defined]
sys.modules |= {"rdkit.six": six, "rdkit.six.moves": six.moves}  # type: ignore[attr-defined]
pd.DataFrame.append = lambda self, other, sort=False: pd.concat([self, other], sort=sort)  # type: ignore[attr-defined]
if not hasattr(AllChem, "GetMorganFingerprintAsBitVect"):

    def morgan(mol, radius, nBits=2048):
        return rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=nBits).GetFingerprint(mol)

    AllChem.GetMorganFingerprintAsBitVect = morgan


def moses(generated: list[str], reference: list[str]) -> dict[str, float]:
    """The suite by `moses.metrics`, the reference's statistics too."""
    from moses.metrics import metrics

    found = metrics.get_all_metrics(
        generated, k=[len(generated)], test=reference, test_scaffolds=reference, train=reference[:1]
    )
    names = {name: f"{name}/Test" for name in APART} | {name: name for name in TOGETHER}
    return {ours: float(found[theirs]) for ours, theirs in names.items()}


def kept(generated: list[str], reference: list[str]) -> dict[str, float]:
    """The suite by `moses.metrics` against the statistics that it keeps of its test sets."""
    from moses.metrics import metrics

    found = metrics.get_all_metrics(generated, k=[len(generated)], train=reference[:1])
    names = {f"{name}/test": f"{name}/Test" for name in APART} | {f"{name}/test": name for name in TOGETHER}
    names |= {f"{name}/test_scaffolds": f"{name}/TestSF" for name in APART}
    return {ours: float(found[theirs]) for ours, theirs in names.items()}


def guacamol(generated: list[str], reference: list[str]) -> float:
    """The score of GuacaMol's KLDivBenchmark from its own functions."""
    from guacamol.utils import chemistry

    names = ["BertzCT", "MolLogP", "MolWt", "TPSA", "NumHAcceptors", "NumHDonors", "NumRotatableBonds"]
    names += ["NumAliphaticRings", "NumAromaticRings"]
    ours, theirs = (chemistry.calculate_pc_descriptors(smiles, names) for smiles in (generated, reference))
    divergences = [chemistry.continuous_kldiv(theirs[:, k], ours[:, k]) for k in range(4)]
    divergences += [chemistry.discrete_kldiv(theirs[:, k], ours[:, k]) for k in range(4, 9)]
    inside = [
        chemistry.calculate_internal_pairwise_similarities(smiles).max(axis=1) for smiles in (reference, generated)
    ]
    divergences.append(chemistry.continuous_kldiv(*inside))
    return float(np.mean(np.exp(-np.array(divergences))))


def main() -> None:
    task, first, second = sys.argv[1:]
    generated, reference = (Path(name).read_text(encoding="utf-8").split() for name in (first, second))
    started = time.perf_counter()
    if task == "guacamol":
        found = {"KL": guacamol(generated, reference)}
    else:
        found = {"moses": moses, "kept": kept}[task](generated, reference)
    print(json.dumps({"figures": found, "seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
