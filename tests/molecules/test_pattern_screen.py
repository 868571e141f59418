"""The screen in front of substructure searches: it leaves out most patterns and none that is there."""

from pathlib import Path

import pytest
from rdkit import Chem, RDConfig

from molgen.molecules.pattern_screen import PatternScreen

PATTERNS = {
    "any atom": "*",
    "ester": "C(=O)O[#6]",
    "two nitriles": "C#N.C#N",
    "recursive": "[$([CH3]),$(C(F)F)][N;!$(N=O);!$(NC=O)]",
    "nested": "[C;$(C([Cl,$(Br)])=O),$([$(CN)])]=O",
    "ring of four": "[r4]@[r4]",
    "charged": "[N+](=O)[O-]",
    "cis": "F/C=C\\F",
    "any bond": "[Si]~[Cl]",
    "chiral": "[C@H](F)(Cl)Br",
}


def possible(smiles: str) -> set[str]:
    screen = PatternScreen([Chem.MolFromSmarts(text) for text in PATTERNS.values()])
    found = screen.possible(Chem.MolFromSmiles(smiles))
    return {name for name, there in zip(PATTERNS, found, strict=True) if there}


@pytest.mark.parametrize(
    ("smiles", "expected"),
    [
        ("C", {"any atom"}),
        ("CC(=O)OC", {"any atom", "ester", "nested"}),
        ("N#CC", {"any atom"}),
        ("CCNC=O", {"any atom", "recursive", "nested"}),  # not there: what stands around an atom is not looked at
        ("N#CCC#N", {"any atom", "two nitriles"}),
        ("C1CCC1", {"any atom", "ring of four"}),
        ("FC=CF", {"any atom", "cis"}),
        ("C[Si](C)(C)Cl", {"any atom", "any bond"}),
        ("C[N+](=O)[O-]", {"any atom", "charged", "recursive"}),
        ("FC(Cl)Br", {"any atom", "chiral"}),
    ],
)
def test_what_is_possible(smiles, expected):
    assert possible(smiles) == expected


def test_no_pattern_that_is_there_is_left_out():
    patterns = [Chem.MolFromSmarts(text) for text in PATTERNS.values()]
    screen = PatternScreen(patterns)
    real = Path(RDConfig.RDDataDir) / "NCI" / "first_200.props.sdf"
    mols = [mol for mol in Chem.SDMolSupplier(str(real)) if mol is not None]
    possible = there = 0
    for mol in mols:
        has = [mol.HasSubstructMatch(pattern) for pattern in patterns]
        may = screen.possible(mol).tolist()
        assert not any(h and not m for h, m in zip(has, may, strict=True))
        possible, there = possible + sum(may), there + sum(has)
    assert there > 200 and possible < 2 * there


@pytest.mark.parametrize("smarts", ["[C;x4]", "[C;z2]", "[C;Z1]", "[d3]", "[C;$([C;x4])]", "[Zn]", "[Cd,Rh]"])
def test_what_a_kind_of_atom_does_not_hold_is_not_asked(smarts):
    """The first molecule settles what its kinds of atoms fit; one with the same kinds has the pattern."""
    pattern = Chem.MolFromSmarts(smarts)
    screen = PatternScreen([pattern])
    for smiles in ("CC1(C)CC1", "C1CC12CC2", "CC(C)(C)C", "OC(C)(C)O", "[2H]C(C)(C)C", "C[Zn]C", "C[Cd]C"):
        mol = Chem.MolFromSmiles(smiles)
        assert screen.possible(mol)[0] or not mol.HasSubstructMatch(pattern)


def test_patterns_and_molecules_without_atoms():
    assert PatternScreen([Chem.Mol(), Chem.MolFromSmarts("C")]).possible(Chem.Mol()).tolist() == [True, False]
    assert PatternScreen([Chem.Mol()]).possible(Chem.MolFromSmiles("CC")).tolist() == [True]
