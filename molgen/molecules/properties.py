"""Properties of molecules: each is one entry of CATALOGUE, with its function, its unit and how it is shown.

Of these, PROPERTIES are the columns of `molgen generate`, TARGETS what a network can be told to aim at, and NUMBERS
what an assessment, the report and the app tell of every molecule: a new entry is among NUMBERS at once.
"""

import importlib.util
import io
import math
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType

from rdkit import Chem, RDConfig
from rdkit.Chem import QED, Crippen, Descriptors, rdMolDescriptors

from molgen.errors import MolgenError


@dataclass(frozen=True)
class Quantity:
    """A number and how it is shown.

    name: its column in files; label: its name in words; short: its usual abbreviation, the name if omitted; unit: ""
    of counts and scores; scale: of a score, its ends and which is which; decimals: how many to show, 0 of a whole
    number.
    """

    name: str
    label: str
    unit: str = ""
    decimals: int = 0
    scale: str = ""
    short: str = ""

    @property
    def title(self) -> str:
        """The label with the unit or the scale in brackets, as for an axis."""
        more = self.unit or self.scale
        return f"{self.label} [{more}]" if more else self.label

    def text(self, value: float) -> str:
        """A value with the abbreviation before it, such as "QED 0.55"."""
        return f"{self.short or self.name} {value:z.{self.decimals}f}"  # z: no -0.0


@dataclass(frozen=True)
class Property(Quantity):
    """A number that a molecule has by itself. function: of a sanitised molecule with aromaticity perceived."""

    function: Callable[[Chem.Mol], float] = field(kw_only=True)

    def __call__(self, mol: Chem.Mol) -> float:
        """The value; NaN where it cannot be computed. Raises MolgenError where RDKit lacks a part that it needs."""
        try:
            value = float(self.function(mol))
        # Contributed Python code fails in many ways on odd molecules: no fragments, None, an unknown element.
        except (ValueError, RuntimeError, ArithmeticError, TypeError, LookupError):
            return math.nan
        return value if math.isfinite(value) else math.nan


def hydrogens(mol: Chem.Mol) -> int:
    """All hydrogens of a sanitised molecule: those implied or written with a heavy atom, and those that are atoms."""
    atoms = [mol.GetAtomWithIdx(index) for index in range(mol.GetNumAtoms())]  # GetAtoms() makes slow calls per atom
    return sum(atom.GetTotalNumHs() + (atom.GetAtomicNum() == 1) for atom in atoms)


def sa_score(mol: Chem.Mol) -> float:
    """Synthetic accessibility, 1 (easy) to 10 (hard), by Ertl & Schuffenhauer (2009).

    Raises MolgenError where RDKit came without the scorer.
    """
    scorer = _contributed("SA_Score", "sascorer")
    if scorer is None:
        raise MolgenError("this installation of RDKit lacks the SA score (Contrib/SA_Score); install rdkit with pip")
    return float(scorer.calculateScore(mol))


def np_score(mol: Chem.Mol) -> float:
    """Natural product-likeness, about -5 to 5, by Ertl, Roggo & Schuffenhauer (2008); NaN where RDKit lacks it."""
    scorer, model = _np_scorer()
    return math.nan if scorer is None else float(scorer.scoreMol(mol, model))


@cache
def _np_scorer() -> tuple[ModuleType | None, object]:
    scorer = _contributed("NP_Score", "npscorer")
    if scorer is None:
        return None, None
    with redirect_stderr(io.StringIO()):  # it tells that it reads
        return scorer, scorer.readNPModel(str(Path(RDConfig.RDContribDir) / "NP_Score" / "publicnp.model.gz"))


@cache
def _contributed(folder: str, name: str) -> ModuleType | None:
    """A module that ships beside RDKit, outside its package."""
    path = Path(RDConfig.RDContribDir) / folder / f"{name}.py"
    specification = importlib.util.spec_from_file_location(f"molgen_{name}", path)
    if specification is None or specification.loader is None or not path.is_file():
        return None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


# In the order of a report's columns. Masses are averages over isotopes; logP and refractivity: Wildman & Crippen 1999.
_ENTRIES = (
    Property("mw", "molecular weight", "g/mol", 1, short="MW", function=Descriptors.MolWt),  # type: ignore[attr-defined]
    Property("logp", "logP (Wildman-Crippen)", "", 1, short="logP", function=Crippen.MolLogP),  # type: ignore[attr-defined]
    Property("tpsa", "polar surface (TPSA)", "Å²", 1, short="TPSA", function=rdMolDescriptors.CalcTPSA),
    Property("hbd", "hydrogen bond donors", function=rdMolDescriptors.CalcNumHBD),
    Property("hba", "hydrogen bond acceptors", function=rdMolDescriptors.CalcNumHBA),
    Property("rotatable_bonds", "rotatable bonds", function=rdMolDescriptors.CalcNumRotatableBonds),
    Property("rings", "rings", function=rdMolDescriptors.CalcNumRings),
    Property("aromatic_rings", "aromatic rings", function=rdMolDescriptors.CalcNumAromaticRings),
    # 0 without carbon
    Property("fraction_sp3", "fraction of sp3 carbons", decimals=2, function=rdMolDescriptors.CalcFractionCSP3),
    Property("stereocentres", "stereocentres", function=rdMolDescriptors.CalcNumAtomStereoCenters),
    Property("formal_charge", "formal charge", function=Chem.GetFormalCharge),
    Property("heavy_atoms", "heavy atoms", function=Chem.Mol.GetNumHeavyAtoms),
    Property("hydrogens", "hydrogens", function=hydrogens),
    Property("atoms", "atoms with hydrogens", function=lambda mol: mol.GetNumHeavyAtoms() + hydrogens(mol)),
    Property("molar_refractivity", "molar refractivity", "cm³/mol", 1, function=Crippen.MolMR),  # type: ignore[attr-defined]
    Property("qed", "drug-likeness (QED)", "", 2, "0 to 1, 1 is best", "QED", function=QED.qed),
    Property("sa", "synthetic accessibility (SA)", "", 1, "1 easy to 10 hard", "SA", function=sa_score),
    Property("np", "natural product-likeness (NP)", "", 1, "-5 to 5", "NP", function=np_score),
)
CATALOGUE: dict[str, Property] = {entry.name: entry for entry in _ENTRIES}

# Files and trained models depend on these two and on their order.
_COLUMNS = ("mw", "logp", "tpsa", "hbd", "hba", "rotatable_bonds", "rings", "qed", "sa")
PROPERTIES = {name: CATALOGUE[name] for name in _COLUMNS}
TARGETS = PROPERTIES | {name: CATALOGUE[name] for name in ("aromatic_rings", "fraction_sp3", "hydrogens")}

# hydrogens: the formula tells them
NUMBERS = {name: entry for name, entry in CATALOGUE.items() if name != "hydrogens"}


def properties(mol: Chem.Mol) -> dict[str, float]:
    """Every one of PROPERTIES for a sanitised molecule, kekulized or aromatic; it is not changed.

    A property that cannot be computed is NaN. Raises MolgenError where RDKit came without the SA score.
    """
    mol = _aromatic(mol)
    return {name: entry(mol) for name, entry in PROPERTIES.items()}


def targets(mol: Chem.Mol) -> list[float]:
    """Every one of TARGETS, in that order, for a sanitised molecule, kekulized or aromatic; it is not changed.

    A target that cannot be computed is NaN. Raises MolgenError where RDKit came without the SA score.
    """
    mol = _aromatic(mol)
    return [entry(mol) for entry in TARGETS.values()]


def _aromatic(mol: Chem.Mol) -> Chem.Mol:
    """A copy with aromaticity perceived: a kekulized ring has another logP, QED and fingerprint."""
    mol = Chem.Mol(mol)
    Chem.SanitizeMol(mol)
    return mol
