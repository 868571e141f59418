"""The surrogate: the identities of a Gaussian process, and that it judges molecules which it has not seen."""

import numpy as np
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem import Crippen, rdFingerprintGenerator
from scipy.stats import spearmanr

from molgen.data.prepared import prepare
from molgen.optimisation import surrogate
from molgen.optimisation.surrogate import NOISE, Surrogate, _prints, _tanimoto

SMILES = ["CCO", "CCN", "CCCC", "c1ccccc1", "Cc1ccccc1O"]


@pytest.fixture(scope="module")
def qm9() -> tuple[list[str], np.ndarray]:
    smiles = prepare("qm9").smiles("valid")[:600]
    return smiles, np.array([Crippen.MolLogP(Chem.MolFromSmiles(text)) for text in smiles])


def test_similarities_are_those_of_rdkit():
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=1, fpSize=4096, countSimulation=True)
    prints = [generator.GetFingerprint(Chem.MolFromSmiles(text)) for text in SMILES]
    expected = [DataStructs.BulkTanimotoSimilarity(one, prints) for one in prints]
    assert np.allclose(_tanimoto(_prints(SMILES), _prints(SMILES)), expected)


def test_mean_and_spread_are_those_of_a_gaussian_process():
    scores = np.array([0.1, 0.4, 0.3, 0.9])
    mean, spread = Surrogate(SMILES[:4], scores).expected(SMILES)
    kernel = _tanimoto(_prints(SMILES), _prints(SMILES))
    inverse = np.linalg.inv(kernel[:4, :4] + NOISE * np.eye(4))
    standard = (scores - scores.mean()) / scores.std()
    assert np.allclose(mean, scores.mean() + scores.std() * kernel[:, :4] @ inverse @ standard)
    variance = 1 - np.einsum("ij,jk,ik->i", kernel[:, :4], inverse, kernel[:, :4])
    assert np.allclose(spread, scores.std() * np.sqrt(variance))
    assert spread[4] > spread[:4].max()  # the one that it does not know


def test_it_judges_molecules_that_it_has_not_seen(qm9):
    smiles, logp = qm9
    mean, _ = Surrogate(smiles[:400], logp[:400]).expected(smiles[400:])
    assert spearmanr(mean, logp[400:])[0] > 0.85


def test_missing_and_equal_scores():
    scores = np.array([0.2, np.nan, 0.2, 0.2])
    mean, spread = Surrogate(SMILES[:4], scores).expected(SMILES)
    assert np.allclose(mean, 0.2) and np.isfinite(spread).all()


def test_of_many_it_learns_from_the_best_and_the_latest(qm9, monkeypatch):
    monkeypatch.setattr(surrogate, "MOST", 100)
    smiles, logp = qm9
    best = np.argsort(-logp, kind="stable")[:50].tolist()
    chosen = sorted({*best, *range(550, 600)})
    few = Surrogate([smiles[place] for place in chosen], logp[chosen])
    assert np.allclose(Surrogate(smiles, logp).promise(smiles[:20]), few.promise(smiles[:20]))
