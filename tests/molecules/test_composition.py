"""Formulas and lists of atoms: what is read, what is refused, which molecules match."""

import pytest

from molgen.errors import InputError
from molgen.molecules.composition import atoms_request, formula_request
from molgen.molecules.encoding import implied_hydrogens
from molgen.molecules.parsing import parse_smiles
from molgen.molecules.vocabulary import AtomClass, Vocabulary

ATOMS = [("C", 0), ("O", 0), ("N", 0), ("F", 0), ("N", 1), ("O", -1)]
VOCABULARY = Vocabulary(tuple(AtomClass(*atom) for atom in ATOMS))
SIZES = (0, 3, 2, 10, 0, 20, 30, 40, 50, 60, 70)


@pytest.mark.parametrize(
    ("element", "charge", "valence", "hydrogens"),
    [
        ("C", 0, 0, 4),
        ("C", 0, 3, 1),
        ("C", 0, 5, None),
        ("N", 0, 3, 0),
        ("N", 1, 3, 1),
        ("N", 1, 4, 0),
        ("O", -1, 1, 0),
        ("O", -1, 2, None),
        ("S", 0, 3, 1),
        ("F", 0, 0, 1),
    ],
)
def test_hydrogens_that_an_atom_gets(element, charge, valence, hydrogens):
    assert implied_hydrogens(AtomClass(element, charge), valence) == hydrogens


@pytest.mark.parametrize(
    ("text", "hill", "elements", "hydrogens"),
    [
        ("C7H9NO2", "C7H9NO2", "C C C C C C C N O O", 9),
        (" NO2H9C7 ", "C7H9NO2", "C C C C C C C N O O", 9),
        ("CHCHCHCHCHCH", "C6H6", "C C C C C C", 6),
        ("CF4", "CF4", "C F F F F", 0),
        ("H2O", "H2O", "O", 2),
        ("C6 H9 N O2", "C6H9NO2", "C C C C C C N O O", 9),
        ("C₆H₉NO₂", "C6H9NO2", "C C C C C C N O O", 9),
        ("c6h9no2", "C6H9NO2", "C C C C C C N O O", 9),
        ("c6 h9 nO2", "C6H9NO2", "C C C C C C N O O", 9),
    ],
)
def test_formulas_are_read(text, hill, elements, hydrogens):
    request = formula_request(text, VOCABULARY, SIZES)
    assert (request.text, request.elements, request.hydrogens) == (hill, tuple(elements.split()), hydrogens)
    assert request.degrees is None
    assert request.size == len(elements.split())


def test_small_letters_that_can_be_read_in_two_ways_are_refused():
    vocabulary = Vocabulary(tuple(AtomClass(element, 0) for element in ("C", "S", "I", "Si")))
    assert formula_request("ch3sh", vocabulary, SIZES).text == "CH4S"
    with pytest.raises(InputError, match="'csih5' can be read as CSIH5 and as CSiH5; write elements with capitals"):
        formula_request("csih5", vocabulary, SIZES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "formula '' cannot be read; write it like C7H9NO2"),
        ("C6H5+", "cannot be read"),
        ("C(CH3)4", "cannot be read"),
        ("c6h6x", "cannot be read"),
        ("co" * 1_000, "cannot be read"),
        ("C 6 H 6", "cannot be read"),
        ("C0H4", "between 1 and 250 atoms"),
        ("C99999H4", "between 1 and 250 atoms"),
        ("C5H5Br", "has Br; the model knows C, O, N, F"),
        ("C4H10", "has 4 heavy atoms; the model makes molecules of 1 to 10"),
        ("C11H24", "has 11 heavy atoms"),
        ("H2", "has 0 heavy atoms"),
        ("C6H7", "odd number of unpaired electrons; with these atoms the number of hydrogens is even"),
        ("C6H5N2O", "the number of hydrogens is even"),
        ("C6H16", "has 16 hydrogens, and at most 14 fit"),
    ],
)
def test_formulas_that_no_molecule_of_the_model_has(text, message):
    with pytest.raises(InputError, match=message.replace("+", r"\+").replace("(", r"\(").replace(")", r"\)")):
        formula_request(text, VOCABULARY, SIZES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "atoms '' has 0 heavy atoms"),
        ("C C", "'C' in atoms 'C C' should be an element and its number of neighbours"),
        ("C9 C1", "'C9' in atoms"),
        ("O3 C1 C1", "O cannot have 3 neighbours"),
        ("C1 C1 C1", "have 3 neighbours in all; that number should be even, and 4 at least"),
        ("C1 C1 C0", "have 2 neighbours in all"),
    ],
)
def test_atoms_that_no_molecule_of_the_model_has(text, message):
    with pytest.raises(InputError, match=message):
        atoms_request(text, VOCABULARY, SIZES)


def test_what_matches_a_formula():
    request = formula_request("C3H6O2", VOCABULARY, SIZES)
    assert request.matched_by(parse_smiles("CCC(=O)O"))
    assert request.matched_by(parse_smiles("C1COCO1"))
    assert not request.matched_by(parse_smiles("CCCO"))
    assert not request.matched_by(parse_smiles("CC(=O)C=O"))


def test_valences_of_the_elements():
    more = Vocabulary((*VOCABULARY.atoms, AtomClass("S", 0), AtomClass("Fe", 0)))
    assert formula_request("C4H10OS", more, SIZES).valences == {"C": (4,), "O": (2,), "S": (2, 4, 6)}
    assert formula_request("C4H4Fe", more, SIZES).valences["Fe"] == (-1,)


def test_what_matches_atoms():
    ring = atoms_request("C2, C2 C2 C2 O2", VOCABULARY, SIZES)
    assert ring.text == "C2 C2 C2 C2 O2"
    assert ring.matched_by(parse_smiles("C1CCOC1"))
    assert ring.matched_by(parse_smiles("C1=CCOC1"))
    assert not ring.matched_by(parse_smiles("CCOCC"))
    assert not ring.matched_by(parse_smiles("C1CCNC1"))
