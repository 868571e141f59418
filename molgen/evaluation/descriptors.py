"""What set-level metrics need of molecules: fingerprint, rings, scaffold, fragments, a few properties.

The definitions are those of MOSES (Polykovskiy et al. 2020), whose code counts the same things molecule by molecule.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pandas as pd
from rdkit import Chem
from rdkit.Chem import AllChem, GraphDescriptors, rdMolDescriptors
from rdkit.Chem.Scaffolds import MurckoScaffold

from molgen.molecules.alerts import alerts, catalog
from molgen.molecules.fingerprints import fingerprint
from molgen.molecules.properties import CATALOGUE
from molgen.molecules.substructures import has_large_ring, ring_systems
from molgen.parallel import isolated_chunks

CHUNK = 500
MOSES_ATOMS = {"C", "N", "S", "O", "F", "Cl", "Br"}
MOSES_BITS = 1024
KL_BITS = 4096
# continuous ones first; GuacaMol (Brown et al. 2019) compares these by their Kullback-Leibler divergence
KL_CONTINUOUS: dict[str, Callable[[Chem.Mol], float]] = {
    "bertz": GraphDescriptors.BertzCT,
    **{name: CATALOGUE[name] for name in ("logp", "mw", "tpsa")},
}
KL_DISCRETE: dict[str, Callable[[Chem.Mol], float]] = {
    **{name: CATALOGUE[name] for name in ("hba", "hbd", "rotatable_bonds")},
    "aliphatic_rings": rdMolDescriptors.CalcNumAliphaticRings,
    "aromatic_rings": CATALOGUE["aromatic_rings"],
}


def sketches(smiles: Sequence[str], kind: str, workers: int) -> Iterator[pd.DataFrame]:
    """Tables of valid SMILES, chunk by chunk, made in `workers` processes; molecules that fail are left out.

    Columns: smiles, and by kind
    "rings": fingerprint (256 bytes), ring_systems (SMILES joined by "; ");
    "moses": moses_fingerprint (128 bytes, Morgan 2 of 1,024 bits), fragments (BRICS, joined by "."), moses_scaffold
        ("" with fewer than two rings), filters (bool), logp, sa, qed, mw;
    "kl": kl_fingerprint (512 bytes, Morgan 2 of 4,096 bits) and all of KL_CONTINUOUS and KL_DISCRETE.
    """
    chunks = isolated_chunks(
        partial(_sketch_all, kind=kind), list(smiles), lambda _: [], workers=workers, chunk=CHUNK, seconds=10
    )
    for _, records in chunks:
        yield pd.DataFrame(records)


def sketch(smiles: str, kind: str) -> dict[str, object] | None:
    """One row of `sketches`; None where RDKit refuses the molecule."""
    mol = Chem.MolFromSmiles(smiles)
    return None if mol is None else {"smiles": smiles, **KINDS[kind](mol)}


def _rings(mol: Chem.Mol) -> dict[str, object]:
    return {"fingerprint": fingerprint(mol), "ring_systems": "; ".join(ring_systems(mol))}


def _moses(mol: Chem.Mol) -> dict[str, object]:
    return {
        "moses_fingerprint": fingerprint(mol, MOSES_BITS),
        "fragments": Chem.MolToSmiles(AllChem.FragmentOnBRICSBonds(mol)),  # type: ignore[attr-defined]
        "moses_scaffold": moses_scaffold(mol),
        "filters": passes_moses_filters(mol),
        **{name: CATALOGUE[name](mol) for name in ("logp", "sa", "qed", "mw")},
    }


def _kl(mol: Chem.Mol) -> dict[str, object]:
    numbers = {name: float(function(mol)) for name, function in (KL_CONTINUOUS | KL_DISCRETE).items()}
    return {"kl_fingerprint": fingerprint(mol, KL_BITS), **numbers}


KINDS = {"rings": _rings, "moses": _moses, "kl": _kl}


def moses_scaffold(mol: Chem.Mol) -> str:
    """The Murcko scaffold of a molecule whose scaffold has two rings or more, else ""."""
    try:
        found = MurckoScaffold.GetScaffoldForMol(mol)  # type: ignore[no-untyped-call]
    except (ValueError, RuntimeError):
        return ""
    return Chem.MolToSmiles(found) if found.GetRingInfo().NumRings() >= 2 else ""


def passes_moses_filters(mol: Chem.Mol) -> bool:
    """The filters that MOSES was made with: no charge, no ring of eight or more, its elements, no MCF and no PAINS."""
    if has_large_ring(mol):
        return False
    if any(atom.GetFormalCharge() or atom.GetSymbol() not in MOSES_ATOMS for atom in mol.GetAtoms()):
        return False
    return not (catalog("MCF").HasMatch(Chem.AddHs(mol)) or alerts(mol, ("PAINS",)))


def _sketch_all(smiles: list[str], kind: str) -> list[dict[str, object]]:
    return [record for record in (sketch(text, kind) for text in smiles) if record is not None]
