"""Drawing: every sample once, and from a graph to its row without a detour."""

import numpy as np
from rdkit import Chem

import molgen.generation.sampling
from molgen.generation.sampling import Shards, draw_graphs, sample_smiles
from molgen.molecules.encoding import GraphDecoder, mol_to_graph
from molgen.molecules.parsing import clean, parse_smiles
from molgen.molecules.properties import targets
from tests.conftest import SMILES as MOLECULES
from tests.generation.fake_model import SIZES
from tests.generation.small_run import MODEL, settings


def test_every_sample_comes_once_with_the_sizes_of_the_training_data(monkeypatch):
    monkeypatch.setattr(molgen.generation.sampling, "ENTRIES_PER_BATCH", 100)  # many small batches
    positions, counts = [], np.zeros(len(SIZES))
    options = {"sampler": "plain", "steps": 2, "seed": 1}
    for where, batch in draw_graphs(MODEL.backend, MODEL.statistics, 4000, **options):
        assert len(where) == len(batch) <= max(1, 100 // (batch.size * (batch.size + 1) // 2))
        positions += where.tolist()
        counts[batch.size] += len(batch)
    assert sorted(positions) == list(range(4000))
    shares = np.array(SIZES) / sum(SIZES)
    np.testing.assert_allclose(counts / 4000, shares, atol=5 * np.sqrt(0.25 / 4000))


def test_sample_smiles_is_repeatable():
    first, again, other = (
        sample_smiles(MODEL.backend, MODEL.vocabulary, MODEL.statistics, 60, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again != other
    assert {verdict.valid for verdict in first} == {True, False}


def test_only_molecules_of_the_formula_asked_for_are_valid():
    """The fake draws chains of any atoms; its samples are those of the same sizes without the request."""
    rows = Shards(MODEL, settings(formula="C2H6O")).draw(0)
    valid = rows[rows.reason == ""]
    assert set(valid.smiles) == {"CCO", "COC"}
    assert set(rows.reason) - {""} >= {"another formula"}
    assert rows[rows.reason == "another formula"][["mw", "qed"]].isna().all(axis=None)


def test_only_molecules_that_keep_the_core_are_valid():
    rows = Shards(MODEL, settings(core="CC")).draw(0)
    kept = rows.smiles[rows.reason == ""]
    core = Chem.MolFromSmarts("C-C")
    assert len(kept) and all(Chem.MolFromSmiles(smiles).HasSubstructMatch(core) for smiles in kept)
    lost = rows.smiles[rows.reason == "core not kept"]
    assert "NNN" in set(lost) and len(kept) + len(lost) < len(rows)
    assert rows[rows.reason != ""]["mw"].isna().all()


def test_progress_counts_the_samples_of_all_shards():
    seen, batches = [], []
    shards = Shards(MODEL, settings(num=2500))
    frames = list(shards.draw_all(lambda *told: seen.append(told), batches.append))
    assert [len(frame) for frame in frames] == [1000, 1000, 500]
    assert sum(map(len, batches)) == 2500 and len(batches) > 3
    counts = [done for _, done, _ in seen]
    assert counts == sorted(set(counts)) and counts[-1] == 2500
    assert {(stage, total) for stage, _, total in seen} == {("drawing molecules", 2500)}


def test_a_molecule_is_as_if_its_smiles_had_been_parsed(vocabulary):
    """To the last bit, whatever the order of the graph's nodes."""
    decoder, random = GraphDecoder(vocabulary), np.random.default_rng(0)
    for smiles in MOLECULES:
        mol = clean(parse_smiles(smiles)).mol
        mol = Chem.RenumberAtoms(mol, random.permutation(mol.GetNumAtoms()).tolist())
        verdict, decoded = decoder.decode_mol(*mol_to_graph(mol, vocabulary.index))
        assert verdict.valid
        assert targets(decoded) == targets(parse_smiles(verdict.smiles))
