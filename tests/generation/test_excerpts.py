import numpy as np
import pytest
import torch
from rdkit import Chem

import molgen
from molgen.errors import InputError
from molgen.generation.asked import parse_wanted
from molgen.generation.cores import parse_core
from molgen.generation.excerpts import around_change, around_growth, around_open, least_shown
from molgen.generation.leads import parse_lead, with_core
from molgen.generation.sampling import draw_graphs
from molgen.molecules.encoding import GraphDecoder
from molgen.molecules.graph import GraphBatch, pair_indices, square
from molgen.molecules.substructures import blocks

IMATINIB = "CN1CCN(Cc2ccc(cc2)C(=O)Nc2ccc(C)c(Nc3nccc(n3)-c3cccnc3)c2)CC1"  # 37 heavy atoms
LINKED = "[*:1]c1ccc(NC(=O)c2ccc(CN3CCN(C)CC3)cc2)cc1.[*:1]c1nccc(n1)-c1cccnc1"


def canonical(smiles: str) -> str:
    return Chem.MolToSmiles(Chem.MolFromSmiles(smiles))


def grown(excerpt, vocabulary, *, at: int) -> str:
    """What comes of an excerpt when a model draws a single fluorine at its atom number `at`."""
    part = excerpt.part
    size = part.size + 1
    bonds = np.zeros((size, size), np.int64)
    bonds[:-1, :-1] = part.bonds
    bonds[at, -1] = bonds[-1, at] = 1
    first, second = (index.numpy() for index in pair_indices(size))
    nodes = np.append(part.nodes, vocabulary.index[("F", 0)])
    drawn = GraphBatch(torch.from_numpy(nodes)[None], torch.from_numpy(bonds[first, second])[None])
    whole = excerpt.restored(drawn)
    return GraphDecoder(vocabulary).decode(whole.nodes[0].numpy(), whole.pairs[0].numpy()).smiles


@pytest.mark.parametrize(
    ("smiles", "count"),
    [
        ("CCO", 3),
        ("CC(=O)O", 3),  # the carbonyl group is whole
        ("Cc1ccccc1", 2),
        ("c1ccc(-c2ccccc2)cc1", 2),
        ("CC[N+](=O)[O-]", 2),  # a nitro group is whole, with what it is bound to
        ("C1CC1C1CC1", 2),
        ("C#CC=C", 2),
    ],
)
def test_blocks_are_what_bonds_that_may_not_be_cut_hold_together(smiles, count):
    assert len(np.unique(blocks(Chem.MolFromSmiles(smiles)))) == count


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("text", [IMATINIB, IMATINIB.replace("CN1", "[*:1]N1", 1), LINKED])
def test_what_grows_on_a_part_of_a_core_has_grown_on_the_whole(text, seed, vocabulary):
    core = parse_core(text, vocabulary)
    excerpt = around_growth(core, 22, np.random.default_rng(seed))
    part = excerpt.part
    assert part.size <= 22 < core.size == part.size + excerpt.hidden
    assert set(part.piece) == set(core.piece)
    for atom in np.flatnonzero(~part.closed):
        # its neighbours are shown, so that the model sees its valence, and it may grow in the core too
        assert not core.closed[excerpt.shown[atom]]
        assert (part.bonds[atom] > 0).sum() == (core.bonds[excerpt.shown[atom]] > 0).sum()
        product = Chem.MolFromSmiles(grown(excerpt, vocabulary, at=atom))
        editable = Chem.RWMol(GraphDecoder(vocabulary).to_mol(core.nodes, core.pairs))
        editable.AddBond(int(excerpt.shown[atom]), editable.AddAtom(Chem.Atom("F")), Chem.BondType.SINGLE)
        assert Chem.MolToSmiles(product) == canonical(Chem.MolToSmiles(editable))


def test_cuts_are_single_bonds_outside_rings(vocabulary):
    core = parse_core(IMATINIB, vocabulary)
    mol = GraphDecoder(vocabulary).to_mol(core.nodes, core.pairs)
    Chem.FastFindRings(mol)
    for seed in range(20):
        shown = set(around_growth(core, 14, np.random.default_rng(seed)).shown.tolist())
        for bond in mol.GetBonds():
            if (bond.GetBeginAtomIdx() in shown) != (bond.GetEndAtomIdx() in shown):
                assert bond.GetBondType() == Chem.BondType.SINGLE
                assert not bond.IsInRing()


def test_a_core_is_not_cut_smaller_than_the_ring_that_grows_and_what_is_bound_there(vocabulary):
    core = parse_core("[*:1]c1ccc(CCCCCCCC)cc1", vocabulary)
    assert least_shown(core) == 6
    assert around_growth(core, 6, np.random.default_rng(0)).part.size == 6
    with pytest.raises(InputError, match="has to be shown 6 atoms around those that may grow, and has room for 5"):
        around_growth(core, 5, np.random.default_rng(0))


@pytest.mark.parametrize("seed", range(20))
def test_a_lead_of_which_nothing_changes_comes_back_as_it_was(seed, vocabulary):
    lead = parse_lead(IMATINIB, vocabulary)
    visible, excerpt = around_change(lead, None, 13, 27, np.random.default_rng(seed))
    part = excerpt.part
    assert part.size < visible.size <= 27
    assert visible.size - part.size <= 13
    drawn = GraphBatch(torch.from_numpy(visible.nodes)[None], torch.from_numpy(visible.pairs)[None])
    whole = excerpt.restored(drawn)
    assert GraphDecoder(vocabulary).decode(whole.nodes[0].numpy(), whole.pairs[0].numpy()).smiles == lead.smiles
    # what changes is one piece, and bound to open atoms alone
    bonds = square(visible.nodes, visible.pairs)
    assert not (bonds[: part.size, part.size :] > 0).any(1)[part.closed].any()
    changing = GraphDecoder(vocabulary).to_mol(visible.nodes, visible.pairs)
    for atom in reversed(range(part.size)):
        changing = Chem.RWMol(changing)
        changing.RemoveAtom(atom)
    assert len(Chem.GetMolFrags(changing)) == 1


def test_a_core_in_a_lead_never_changes(vocabulary):
    lead, core = with_core(
        parse_lead(IMATINIB, vocabulary), parse_core("[*:1]c1ccc(C)c(Nc2nccc(n2)-c2cccnc2)c1", vocabulary), vocabulary
    )
    for seed in range(10):
        visible, excerpt = around_change(lead, core, 13, 27, np.random.default_rng(seed))
        assert (excerpt.core.nodes[: core.size] == core.nodes).all()
        assert (excerpt.core.bonds[: core.size, : core.size] == core.bonds).all()
        assert visible.size <= 27


def test_a_lead_that_is_one_ring_system_has_no_part_of_its_own(vocabulary):
    ladder = "C1CC2C1C1C2C2C1C1C2C2C1C1C2C2C1CC2"
    lead = parse_lead(ladder, vocabulary)
    with pytest.raises(
        InputError, match=rf"has {lead.size} heavy atoms and no part that the model, which makes up to 9"
    ):
        around_change(lead, None, 4, 9, np.random.default_rng(0))


def test_the_shipped_model_keeps_cores_and_leads_larger_than_its_molecules():
    model = molgen.load_model("qm9-digress")
    text = "CCOCCNC(=O)CCCC"  # 12 heavy atoms, where QM9 has 9
    wanted = parse_wanted(model.model, core=text)
    core = wanted.core
    sizes = set()
    for _, batch in draw_graphs(
        model.model.backend, model.model.statistics, 40, sampler="ancestral", steps=10, seed=3, wanted=wanted
    ):
        sizes.add(batch.size)
        for nodes, pairs in zip(batch.nodes.numpy(), batch.pairs.numpy(), strict=True):
            assert (nodes[: core.size] == core.nodes).all()
            assert (square(nodes, pairs)[: core.size, : core.size] == core.bonds).all()
    assert sizes <= {13, 14, 15}  # as many as grow on a core of two thirds of the largest molecule
    assert len(sizes) > 1

    made = model.sample(24, core=text, seed=3, steps=10)
    assert len(made) > 12
    near = model.sample(32, like=text, similarity="0.1:0.95", seed=3, steps=10)
    assert len(near) > 0
    assert all(mol.GetNumAtoms() == 12 for mol in near.mols)
    sized = model.sample(8, core="CCOCCN", size="12:13", seed=3, steps=10)
    assert {mol.GetNumAtoms() for mol in sized.mols} <= {12, 13}


def test_two_ends_of_one_molecule_are_never_shown_as_two_molecules(vocabulary):
    """A model joins what is in two pieces, which would close a ring over all that is not shown."""
    core = parse_core("[*:1]c1ccc(CNC(=O)CCc2ccc(OCCNC(=O)CC[*:2])cc2)cc1", vocabulary)
    assert around_open(core, 24) is None
    linked = parse_core(LINKED, vocabulary)
    part = around_open(linked, 22).part
    assert part.size <= 22
    assert (~part.closed).sum() == 2


@pytest.mark.parametrize(
    ("core", "size", "is_large"),
    [
        ("CCO", None, False),
        ("CCO", "5:12", False),  # ends with the largest molecule, as it always did
        ("CCO", "10:12", True),
        ("CCCCCCCO", None, False),
        ("CCCCCCCO", "9:12", True),  # little room is left
        ("CCCCCCCCO", None, True),
    ],
)
def test_when_a_core_is_too_large_for_a_model(core, size, is_large):
    model = molgen.load_model("qm9-digress").model
    wanted = parse_wanted(model, core=core, size=size)
    assert wanted.is_large(model.statistics) == is_large
    sizes = np.flatnonzero(wanted.size_weights(model.statistics))
    if size is None:
        assert sizes.min() == wanted.core.size + 1
    else:
        assert set(sizes) <= set(range(wanted.sizes.low, wanted.sizes.high + 1))
    assert (sizes.max() > 9) == is_large


@pytest.mark.parametrize(
    ("name", "wishes", "message"),
    [
        ("qm9-digress", {"targets": ["logp=1"]}, "cannot be told properties of the whole"),
        ("qm9-digress", {"likelihood": True}, "no likelihood of larger ones"),
        ("qm9-digress", {"size": "30"}, "to which the model can add up to 7, and size 30 is asked for"),
        ("qm9-nvdiff", {}, "model qm9-nvdiff makes molecules of up to 9"),
    ],
)
def test_what_cannot_be_had_with_a_large_core_is_told(name, wishes, message):
    with pytest.raises(InputError, match=message):
        molgen.load_model(name).sample(4, core="CCOCCNC(=O)CCCC", **wishes)
