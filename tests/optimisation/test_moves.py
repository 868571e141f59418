"""Moves: what of the parents stays, and what may bind to it."""

import numpy as np
import pytest
import torch
from rdkit import Chem

from molgen.errors import InputError
from molgen.generation.cores import parse_core
from molgen.molecules.graph import GraphBatch, pair_indices
from molgen.optimisation.moves import COMBINE, FRESH, GROW, NOISE, REGROW, SHRINK, TARGETS, Moves, Plan
from tests.optimisation.trees import model

MODEL = model()
PARENT, OTHER = "CC(O)CNC(C)C", "OCCCCN"


def plans(move: str, count: int = 60, core: str | None = None, known: bool = True) -> list[Plan]:
    made = model(config=type(MODEL.backend.config)(known_parts=known))
    moves = Moves(made, None if core is None else parse_core(core, made.vocabulary), {"logp": 2.0, "qed": 1.0})
    parents = [moves.parent(4, PARENT), moves.parent(9, OTHER if core is None else "CCCNCC(C)O")]
    random = np.random.default_rng(0)
    return [moves.plan(move, parents[: 2 if move == COMBINE else 1], 0.3, random) for _ in range(count)]


def known_mol(plan: Plan) -> Chem.Mol:
    """The known atoms with the known bonds, unsanitised."""
    moves = Moves(MODEL, None, {})
    mol = moves.decoder.to_mol(plan.nodes, np.where(plan.known_pairs, plan.pairs, 0))
    editable = Chem.RWMol(mol)
    for atom in reversed(np.flatnonzero(~plan.known_nodes).tolist()):
        editable.RemoveAtom(atom)
    return editable.GetMol()


def open_atoms(plan: Plan) -> np.ndarray:
    """Known atoms that may bind to one that is not known."""
    first, second = (index.numpy() for index in pair_indices(plan.size))
    free = ~plan.known_pairs
    found = np.zeros(plan.size, bool)
    for a, b in zip(first[free], second[free], strict=True):
        found[a] |= plan.known_nodes[a] and not plan.known_nodes[b]
        found[b] |= plan.known_nodes[b] and not plan.known_nodes[a]
    return found


@pytest.mark.parametrize("move", [REGROW, GROW, SHRINK])
def test_the_rest_of_the_parent_stays(move):
    parent = Chem.MolFromSmiles(PARENT)
    sizes = set()
    for plan in plans(move):
        assert plan.move == move and plan.parents == (4,) and plan.noise is None
        mol = known_mol(plan)
        assert 0 < mol.GetNumAtoms() <= plan.size
        # every known atom with its bonds is in the parent, and the cut is where it may grow
        for piece in Chem.GetMolFrags(mol, asMols=True):
            assert parent.HasSubstructMatch(piece)
        assert open_atoms(plan).any()
        sizes.add(plan.size - 8)
    assert {REGROW: sizes == {0}, GROW: sizes == {1, 2, 3}, SHRINK: sizes <= {0, -1, -2, -3} and len(sizes) > 1}[move]


def test_two_molecules_are_combined():
    first, second = map(Chem.MolFromSmiles, (PARENT, OTHER))
    for plan in plans(COMBINE):
        assert plan.move == COMBINE and plan.parents == (4, 9)
        assert plan.size <= 11  # the most that the model draws
        pieces = Chem.GetMolFrags(known_mol(plan), asMols=True)
        assert all(first.HasSubstructMatch(piece) or second.HasSubstructMatch(piece) for piece in pieces)


def test_noise_starts_from_the_whole_molecule():
    for plan in plans(NOISE, 5):
        assert plan.noise == 0.3 and not plan.known_nodes.any()
        assert Moves(MODEL, None, {}).decoder.decode(plan.nodes, plan.pairs).smiles == PARENT


def test_a_model_without_known_parts_grows_and_shrinks_by_noise():
    sizes = {move: {plan.size for plan in plans(move, known=False)} for move in (GROW, SHRINK)}
    assert sizes == {GROW: {9, 10, 11}, SHRINK: {5, 6, 7}}
    assert all(plan.noise == 0.3 and not plan.known_pairs.any() for plan in plans(SHRINK, 5, known=False))


def test_fresh_ones_follow_the_sizes_of_the_training_set():
    sizes = [plan.size for plan in plans(FRESH, 300)]
    assert set(sizes) <= set(range(4, 12)) and 7 < np.mean(sizes) < 8
    told = plans(TARGETS, 3)
    assert all(plan.told and plan.parents == () for plan in told)


@pytest.mark.parametrize("move", [FRESH, REGROW, GROW, SHRINK, COMBINE, NOISE])
def test_a_core_stays_in_every_plan(move):
    core = Chem.MolFromSmiles("NCC(C)O")
    closed = "[*:1]NCC(C)O"  # the nitrogen alone may grow
    for plan in plans(move, 40, closed):
        mol = known_mol(plan)
        assert any(piece.HasSubstructMatch(core) for piece in Chem.GetMolFrags(mol, asMols=True))
        assert plan.size > 5
        opened = np.flatnonzero(open_atoms(plan)[:5])
        assert all(plan.nodes[atom] == 1 for atom in opened)  # N


def test_the_moves_of_a_model():
    assert Moves(MODEL, None, {"logp": 1.0}).names == [FRESH, TARGETS, REGROW, GROW, SHRINK, COMBINE, NOISE]
    assert Moves(model(starts=False), None, {"qed": 1.0}).names == [FRESH, REGROW, GROW, SHRINK, COMBINE]
    none = type(MODEL.backend.config)(known_parts=False)
    assert Moves(model(config=none), None, {}).names == [FRESH, GROW, SHRINK, NOISE]
    with pytest.raises(InputError, match="cannot change one; choose another model"):
        Moves(model(config=none, starts=False), None, {})


def test_ring_systems_mostly_go_as_a_whole():
    moves = Moves(model(), None, {})
    parent = moves.parent(1, "CC1CCC2(CC1)CCNC2")  # ten atoms of one ring system, and a methyl
    assert sorted(parent.ring_systems.tolist()) == [-1] + [parent.ring_systems.max()] * 10
    random = np.random.default_rng(0)
    pieces = [parent.grown_piece(4, np.ones(11, bool), random) for _ in range(100)]
    ringed = [piece[parent.ring_systems >= 0].sum() for piece in pieces]
    whole = ringed.count(10)
    assert set(ringed) <= {3, 4, 10} and 50 < whole < 90


LARGE = "[*:1]NCC(C)OCCCNCCCO"  # 13 atoms, where the model draws 11


@pytest.mark.parametrize("move", [FRESH, REGROW, GROW, SHRINK, COMBINE, NOISE])
def test_a_core_larger_than_the_model_s_molecules_stays_in_what_is_restored(move):
    made = model()
    core = parse_core(LARGE, made.vocabulary)
    moves = Moves(made, core, {"logp": 2.0})
    assert TARGETS not in moves.names  # of the property of a part it knows nothing
    parents = [moves.parent(number, f"{text}NCC(C)OCCCNCCCO") for number, text in enumerate(("CCCC", "OCCN"))]
    random = np.random.default_rng(0)
    query = Chem.MolFromSmiles("NCC(C)OCCCNCCCO")
    sizes = set()
    for _ in range(60):
        plan = moves.plan(move, parents[: 2 if move == COMBINE else 1], 0.3, random)
        assert plan.size <= 11
        assert plan.excerpt is not None
        assert not plan.told
        drawn = GraphBatch(torch.from_numpy(plan.nodes)[None], torch.from_numpy(plan.pairs)[None])
        whole = plan.excerpt.restored(drawn)
        assert whole.size == plan.size + plan.excerpt.hidden <= moves.most
        mol = moves.decoder.to_mol(whole.nodes[0].numpy(), whole.pairs[0].numpy())
        Chem.SanitizeMol(mol)
        assert mol.HasSubstructMatch(query)
        sizes.add(whole.size)
    assert min(sizes) > 13


def test_a_model_that_only_hears_of_known_parts_takes_no_large_core():
    made = model(keeps_parts=False)
    with pytest.raises(InputError, match="has 13 heavy atoms; model trees makes molecules of up to 11"):
        Moves(made, parse_core(LARGE, made.vocabulary), {})
