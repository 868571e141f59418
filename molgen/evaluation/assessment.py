"""What a project team wants to know of each molecule: one row for each row of the input, nothing lost.

    frame = pd.concat(assess(read_molecules("library.csv"), workers=2))

gives the columns of COLUMNS and a packed fingerprint; molgen.evaluation.reference adds novelty and the nearest known
molecule.
"""

import importlib.util
import io
import math
from collections.abc import Iterable, Iterator
from contextlib import redirect_stderr
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from rdkit import Chem, RDConfig
from rdkit.Chem import Crippen, rdFingerprintGenerator, rdMolDescriptors
from rdkit.Chem.Scaffolds import MurckoScaffold

from molgen.data.readers import Row
from molgen.evaluation.rings import ring_systems
from molgen.molecules.alerts import alerts
from molgen.molecules.parsing import Rejected, clean, parse_block, parse_smiles
from molgen.molecules.properties import properties
from molgen.parallel import isolated_chunks

FINGERPRINT_BITS = 2048
ROW_SECONDS = 10
CHUNK = 200  # rows; about a second of work
INTEGERS = (
    *("hbd", "hba", "rotatable_bonds", "rings", "aromatic_rings", "stereocentres", "formal_charge"),
    *("heavy_atoms", "atoms"),
)

# (low, high) of each property, None where open; a molecule may miss as many as stand behind
RULES: dict[str, tuple[dict[str, tuple[float | None, float | None]], int]] = {
    # Lipinski et al. 1997
    "lipinski": ({"mw": (None, 500), "logp": (None, 5), "hbd": (None, 5), "hba": (None, 10)}, 1),
    # Veber et al. 2002
    "veber": ({"rotatable_bonds": (None, 10), "tpsa": (None, 140)}, 0),
    # Ghose et al. 1999
    "ghose": ({"mw": (160, 480), "logp": (-0.4, 5.6), "molar_refractivity": (40, 130), "atoms": (20, 70)}, 0),
    # Teague et al. 1999
    "lead_like": ({"mw": (200, 350), "logp": (-1, 3.5), "rotatable_bonds": (None, 7)}, 0),
    # Congreve et al. 2003
    "rule_of_three": (
        {"mw": (None, 300), "logp": (None, 3), "hbd": (None, 3), "hba": (None, 3), "rotatable_bonds": (None, 3)},
        0,
    ),
}
NUMBERS = (
    *("mw", "logp", "tpsa", "hbd", "hba", "rotatable_bonds", "rings", "aromatic_rings", "fraction_sp3"),
    *("stereocentres", "formal_charge", "heavy_atoms", "atoms", "molar_refractivity", "qed", "sa", "np"),
)
COLUMNS = (
    *("row", "name", "input", "smiles", "valid", "reason", "inchikey", "formula", *NUMBERS, *RULES),
    *("alerts", "scaffold", "ring_systems"),
)


def assess(rows: Iterable[Row], workers: int) -> Iterator[pd.DataFrame]:
    """Tables of the molecules, chunk by chunk in order, made in `workers` processes; memory stays flat.

    Columns: row (line in the file), name, input (SMILES as written, "" for a mol block), smiles (canonical, no stereo),
    valid (bool), reason (why not), inchikey, formula, NUMBERS (float, NaN where not to be had), RULES (bool or None),
    alerts ("SET: name" joined by "; "), scaffold (Murcko, "" without rings), ring_systems (SMILES joined by "; "),
    fingerprint (256 bytes, Morgan of radius 2, least significant bit first; None where not valid).
    A row that crashes RDKit or takes too long costs itself alone.
    """
    chunks = isolated_chunks(_assess_all, rows, _failed, workers=workers, chunk=CHUNK, seconds=ROW_SECONDS)
    for chunk, records in chunks:
        frame = pd.DataFrame(records)
        frame.insert(0, "row", [row.line for row in chunk])
        frame.insert(1, "name", [row.name for row in chunk])
        frame.insert(2, "input", ["" if row.is_block else row.text for row in chunk])
        yield frame


def assess_one(row: Row) -> dict:
    """One row of `assess`, without row, name and input."""
    try:
        mol = parse_block(row.text) if row.is_block else parse_smiles(row.text)
        cleaned = clean(mol)
        mol = Chem.Mol(cleaned.mol)
        Chem.SanitizeMol(mol)
    except Rejected as reason:
        return _empty(str(reason))
    except (ValueError, RuntimeError):
        return _empty("refused by RDKit")
    numbers = properties(mol)
    numbers |= {name: _number(function, mol) for name, function in _MORE.items()}
    record = {"smiles": cleaned.smiles, "valid": True, "reason": ""}
    record |= {"inchikey": _text(Chem.MolToInchiKey, mol), "formula": rdMolDescriptors.CalcMolFormula(mol)}
    record |= {name: numbers[name] for name in NUMBERS}
    record |= {name: keeps_rule(name, numbers) for name in RULES}
    record["alerts"] = "; ".join(f"{alert.set}: {alert.name}" for alert in alerts(mol))
    record["scaffold"] = _text(scaffold, mol)
    record["ring_systems"] = "; ".join(ring_systems(mol))
    record["fingerprint"] = np.packbits(generator().GetFingerprintAsNumPy(mol), bitorder="little").tobytes()
    return record


def keeps_rule(name: str, numbers: dict[str, float]) -> bool | None:
    """Whether a molecule keeps one of RULES; None where a number of it is missing."""
    ranges, allowed = RULES[name]
    if any(math.isnan(numbers[key]) for key in ranges):
        return None
    return sum(not within(numbers[key], *bounds) for key, bounds in ranges.items()) <= allowed


def within(value: float, low: float | None, high: float | None) -> bool:
    """Whether low <= value <= high, each where it is given."""
    return (low is None or value >= low) and (high is None or value <= high)


def scaffold(mol: Chem.Mol) -> str:
    """Canonical SMILES of the Murcko scaffold, "" for a molecule without rings."""
    return Chem.MolToSmiles(MurckoScaffold.GetScaffoldForMol(mol))


@cache
def generator() -> rdFingerprintGenerator.FingerprintGenerator64:
    """Morgan fingerprints of radius 2."""
    return rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=FINGERPRINT_BITS)


@cache
def _np_scorer():
    """The natural product-likeness scorer that ships beside RDKit (Ertl, Roggo & Schuffenhauer 2008), and its model."""
    folder = Path(RDConfig.RDContribDir) / "NP_Score"
    specification = importlib.util.spec_from_file_location("molgen_npscorer", folder / "npscorer.py")
    if specification is None or specification.loader is None or not (folder / "npscorer.py").is_file():
        return None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    with redirect_stderr(io.StringIO()):  # it tells that it reads
        return module, module.readNPModel(str(folder / "publicnp.model.gz"))


def np_score(mol: Chem.Mol) -> float:
    """Natural product-likeness, about -5 (synthetic) to 5; NaN where RDKit came without it."""
    scorer = _np_scorer()
    return math.nan if scorer is None else scorer[0].scoreMol(mol, scorer[1])


_MORE = {
    "aromatic_rings": rdMolDescriptors.CalcNumAromaticRings,
    "fraction_sp3": rdMolDescriptors.CalcFractionCSP3,
    "stereocentres": rdMolDescriptors.CalcNumAtomStereoCenters,
    "formal_charge": Chem.GetFormalCharge,
    "heavy_atoms": lambda mol: mol.GetNumHeavyAtoms(),
    "atoms": lambda mol: mol.GetNumHeavyAtoms() + sum(atom.GetTotalNumHs() for atom in mol.GetAtoms()),
    "molar_refractivity": Crippen.MolMR,  # type: ignore[attr-defined]
    "np": np_score,
}


def _number(function, mol: Chem.Mol) -> float:
    try:
        return float(function(mol))
    except (ValueError, RuntimeError, ArithmeticError, TypeError, LookupError):
        return math.nan


def _text(function, mol: Chem.Mol) -> str:
    try:
        return function(mol)
    except (ValueError, RuntimeError):
        return ""


def _assess_all(rows: list[Row]) -> list[dict]:
    return [assess_one(row) for row in rows]


def _failed(reason: str) -> list[dict]:
    return [_empty(reason)]


def _empty(reason: str) -> dict:
    record: dict = {"smiles": "", "valid": False, "reason": reason, "inchikey": "", "formula": ""}
    record |= dict.fromkeys(NUMBERS, math.nan) | dict.fromkeys(RULES)
    return record | {"alerts": "", "scaffold": "", "ring_systems": "", "fingerprint": None}
