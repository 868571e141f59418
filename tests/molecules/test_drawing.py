"""Pictures and conformers, likelihoods and neighbours: what the app shows of a molecule."""

import re

import numpy as np
import pytest
from rdkit import Chem

from molgen.errors import InputError
from molgen.generation.latent import neighbours
from molgen.generation.likelihood import likelihood_of
from molgen.models.checkpoints import load_checkpoint
from molgen.molecules.conformers import conformers, lowest_sdf
from molgen.molecules.drawing import (
    block_svg,
    clearance,
    graph_svg,
    laid_out,
    placed_svg,
    places_of,
    sheet_png,
    to_png,
    to_svg,
)
from molgen.molecules.encoding import GraphDecoder, mol_to_graph
from molgen.molecules.parsing import Rejected, clean, parse_smiles


def atom_places(svg: str) -> list[tuple[float, float]]:
    """Where the letters of atoms stand: the first point of each path that draws one."""
    return [(float(x), float(y)) for x, y in re.findall(r"class='atom-\d+' d='M ([\d.]+) ([\d.]+)", svg)]


def test_pictures_have_the_size_asked_for():
    assert "width='200px' height='150px'" in to_svg("c1ccccc1O", width=200, height=150)
    png = to_png("CCO", width=120, height=80)
    assert png[:4] == b"\x89PNG" and (int.from_bytes(png[16:20]), int.from_bytes(png[20:24])) == (120, 80)
    sheet = sheet_png(["CCO", "c1ccccc1", "CN"], ["a", "<b>", "c"], columns=2, side=100)
    assert (int.from_bytes(sheet[16:20]), int.from_bytes(sheet[20:24])) == (200, 200)
    with pytest.raises(Rejected):
        to_svg("C(", width=200, height=150)


def test_an_atom_that_is_marked_is_seen():
    assert to_svg("CCO", width=200, height=150) != to_svg("CCO", width=200, height=150, highlight_atoms=[2])


def test_the_places_of_atoms_are_where_their_letters_stand():
    svg, places = placed_svg("OCCN", width=300, height=200)
    letters = atom_places(svg)
    assert len(places) == 4
    for place in (places[0], places[3]):
        assert min(abs(x - place[0]) + abs(y - place[1]) for x, y in letters) < 20


def test_a_dark_page_gets_light_bonds_and_no_white_box():
    light, dark = to_svg("CCO", width=200, height=150), to_svg("CCO", width=200, height=150, dark=True)
    assert "<rect" in light and "#000000" in light
    assert "<rect" not in dark and "#000000" not in dark


def test_cages_are_not_drawn_collapsed():
    cubane, benzene = (laid_out(smiles) for smiles in ("C12C3C4C1C5C2C3C45", "c1ccccc1"))
    assert clearance(cubane) > 0.3  # RDKit's own layout puts four pairs of atoms on the same places
    assert clearance(benzene) == pytest.approx(1, abs=0.01)
    assert clearance(laid_out("C")) == np.inf


def test_any_graph_can_be_drawn(vocabulary):
    nodes, pairs = mol_to_graph(clean(parse_smiles("CC(=O)N")).mol, vocabulary.index)
    mol = GraphDecoder(vocabulary).to_mol(nodes, pairs)
    places = places_of(mol)
    assert places.shape == (4, 2)
    assert "NH" not in graph_svg(mol, places, width=200, height=200)
    broken = GraphDecoder(vocabulary).to_mol(nodes, np.full_like(pairs, 3))  # every atom with nine bonds
    assert graph_svg(broken, places, width=200, height=200).startswith("<svg")


def test_conformers_are_3d_whole_and_sorted():
    butane, benzene, none = conformers(["CCCC", "c1ccccc1", "[He]"], 20)
    mol = Chem.MolFromMolBlock(butane.blocks[0], removeHs=False)
    assert mol.GetNumAtoms() == 14 and mol.GetConformer().Is3D()
    assert Chem.MolToSmiles(Chem.RemoveHs(mol)) == "CCCC"
    assert butane.blocks[0].startswith("\n")  # no title
    assert butane.energies[0] == 0 and list(butane.energies) == sorted(butane.energies)
    assert 0.4 < butane.energies[1] < 1.2  # gauche above anti, kcal/mol
    assert len(benzene.blocks) == 1
    assert none.blocks == () and "MMFF94" in none.reason
    assert block_svg(butane.blocks[0], width=100, height=100).startswith("<svg")


def test_the_lowest_conformers_make_a_file():
    text = lowest_sdf(["CCO", "[He]", "CCN"], ["first\nname", "helium", "third"], 3)
    supplier = Chem.SDMolSupplier()
    supplier.SetData(text, removeHs=False)
    found = list(supplier)
    assert [mol.GetProp("_Name") for mol in found] == ["first name", "third"]
    assert all(mol.GetConformer().Is3D() and mol.HasProp("MMFF94_kcal_per_mol") for mol in found)


def test_what_is_no_molecule_has_no_conformer_and_a_reason():
    found = next(iter(conformers(["C("], 3)))
    assert found.blocks == () and found.reason


def test_the_likelihood_is_that_of_the_molecule():
    model = load_checkpoint("qm9-digress")
    assert likelihood_of(model, "CCO") == likelihood_of(model, "OCC")
    usual, odd = likelihood_of(model, "CC1CC1CO")[0], likelihood_of(model, "FC(F)(F)C#CF")[0]
    assert usual < odd
    with pytest.raises(InputError, match="13 heavy atoms"):
        likelihood_of(model, "CC(=O)Oc1ccccc1C(=O)O")
    with pytest.raises(InputError, match="Br"):
        likelihood_of(model, "CBr")


def test_neighbours_in_the_latent_space_are_alike():
    model = load_checkpoint("qm9-nvdiff")
    found = neighbours(model, "CCCCO", ["CCCCO", "CCCO", "c1ccncc1", "N#CC#N", "CBr", "CCCCN"], 2)
    assert {smiles for smiles, _ in found} == {"CCCO", "CCCCN"}
    assert 0 < found[0][1] <= found[1][1]
    with pytest.raises(InputError, match="no latent space"):
        neighbours(load_checkpoint("qm9-digress"), "CCO", ["CC"], 1)
