"""A genetic algorithm on molecular graphs, to compare searches with: the operators of Jensen (Chemical Science 2019).

Written anew after the paper; sizes and the mutation rate are those that PMO found best (Gao et al. 2022). Molecules are
cut at a bond or through a ring and joined with a part of another one, then changed by one of seven reactions.
"""

from collections.abc import Callable, Sequence

import numpy as np
from rdkit import Chem, RDLogger
from rdkit.Chem import AllChem

RDLogger.DisableLog("rdApp.*")

POPULATION, OFFSPRING, MUTATION = 120, 70, 0.067
MOST_ATOMS, LARGEST_RING, TRIES = 50, 6, 10
ELEMENTS = ("#6", "#7", "#8", "#9", "#16", "#17", "#35")
SINGLES, DOUBLES, TRIPLES = ("C", "N", "O", "F", "S", "Cl", "Br"), ("C", "N", "O"), ("C", "N")
STRAINED = [Chem.MolFromSmarts(text) for text in ("[R]=[R]=[R]", "[r3,r4]=[r3,r4]")]
BOND, ACROSS, AT_ATOM = map(Chem.MolFromSmarts, ("[*]-;!@[*]", "[R]@[R]@[R]@[R]", "[R]@[R;!D2]@[R]"))


def search(ask: Callable[[list[str]], list[float]], start: Sequence[str], budget: int, seed: int) -> dict[str, float]:
    """The scores of `budget` molecules, fewer where nothing new is found, in the order asked; NaN: no score.

    ask: gives scores of canonical SMILES; start: molecules to begin with.
    """
    random = np.random.default_rng(seed)
    scores: dict[str, float] = {}
    fresh = list(dict.fromkeys(random.permutation(np.array(start, object)).tolist()))[:POPULATION]
    idle = 0
    while fresh or idle < TRIES:
        fresh = fresh[: budget - len(scores)]
        scores |= dict(zip(fresh, ask(fresh), strict=True)) if fresh else {}
        if len(scores) >= budget:
            break
        there = [text for text, score in scores.items() if score == score]
        population = sorted(there, key=lambda text: -scores[text])[:POPULATION]
        weights = np.array([scores[text] + 1e-10 for text in population])
        mols = [Chem.MolFromSmiles(text) for text in population]
        children: dict[str, None] = {}
        for _ in range(OFFSPRING):
            first, second = random.choice(len(mols), size=2, p=weights / weights.sum())
            child = _crossed(mols[first], mols[second], random)
            if child is not None and random.random() < MUTATION:
                child = _mutated(child, random)
            if child is not None:
                children[Chem.MolToSmiles(child)] = None
        fresh = [text for text in children if text not in scores]
        idle = 0 if fresh else idle + 1
    return scores


def _crossed(first: Chem.Mol, second: Chem.Mol, random: np.random.Generator) -> Chem.Mol | None:
    """A child of two molecules: cut at a bond between rings, or through a ring."""
    pair = [_kekulized(mol) for mol in (first, second)]
    for _ in range(TRIES):
        ring = random.random() < 0.5
        parts = [_cut_ring(mol, random) if ring else _cut_bond(mol, random) for mol in pair]
        if not all(parts):
            continue
        made = []
        for bond in "-=" if ring else "-":
            joined = [
                products[0]
                for one in parts[0]
                for other in parts[1]
                for products in _reaction(f"[*:1]~[1*].[1*]~[*:2]>>[*:1]{bond}[*:2]").RunReactants((one, other))
            ]
            if ring:
                joined = [
                    products[0]
                    for mol in joined
                    for closing in "-="
                    for products in _reaction(f"([*:1]~[1*].[1*]~[*:2])>>[*:1]{closing}[*:2]").RunReactants((mol,))
                ]
            made += joined
        fine = [mol for mol in map(_fine, made) if mol is not None]
        if fine:
            return fine[random.integers(len(fine))]
    return None


def _cut_bond(mol: Chem.Mol, random: np.random.Generator) -> tuple[Chem.Mol, ...]:
    matches = mol.GetSubstructMatches(BOND)
    return _fragments(mol, [matches[random.integers(len(matches))]]) if matches else ()


def _cut_ring(mol: Chem.Mol, random: np.random.Generator) -> tuple[Chem.Mol, ...]:
    across = random.random() < 0.5
    matches = mol.GetSubstructMatches(ACROSS if across else AT_ATOM)
    if not matches:
        return ()
    atoms = matches[random.integers(len(matches))]
    return _fragments(mol, [atoms[:2], atoms[2:]] if across else [atoms[:2], atoms[1:]])


def _fragments(mol: Chem.Mol, pairs: Sequence[tuple[int, ...]]) -> tuple[Chem.Mol, ...]:
    bonds = [mol.GetBondBetweenAtoms(*pair).GetIdx() for pair in pairs]
    cut = Chem.FragmentOnBonds(mol, bonds, addDummies=True, dummyLabels=[(1, 1)] * len(bonds))
    try:
        found = Chem.GetMolFrags(cut, asMols=True, sanitizeFrags=True)
    except ValueError:
        return ()
    return found if len(found) == 2 else ()


def _mutated(mol: Chem.Mol, random: np.random.Generator) -> Chem.Mol | None:
    """A molecule after one random reaction, None where none of TRIES gives one."""
    for _ in range(TRIES):
        products = _reaction(_mutation(random)).RunReactants((_kekulized(mol),))
        fine = [made for made in (_fine(product[0]) for product in products) if made is not None]
        if fine:
            return fine[random.integers(len(fine))]
    return None


def _mutation(random: np.random.Generator) -> str:
    """A reaction: atoms inserted, bonds changed, rings opened and closed, atoms deleted, changed, appended."""

    def one(choices: Sequence[str], shares: Sequence[float] | None = None) -> str:
        return str(random.choice(choices, p=shares))

    kind = random.choice(7, p=[0.15, 0.14, 0.14, 0.14, 0.14, 0.14, 0.15])
    order = random.choice(3, p=[0.6, 0.35, 0.05])
    if kind == 0:
        single = f"[*:1]~[*:2]>>[*:1]{one(['C', 'N', 'O', 'S'])}[*:2]"
        double = f"[*;!H0:1]~[*:2]>>[*:1]={one(['C', 'N'])}-[*:2]"
        return (single, double, "[*;!R;!H1;!H0:1]~[*:2]>>[*:1]#C-[*:2]")[order]
    if kind == 1:
        changes = ["[*:1]!-[*:2]>>[*:1]-[*:2]", "[*;!H0:1]-[*;!H0:2]>>[*:1]=[*:2]", "[*:1]#[*:2]>>[*:1]=[*:2]"]
        return one([*changes, "[*;!R;!H1;!H0:1]~[*:2]>>[*:1]#[*:2]"], [0.45, 0.45, 0.05, 0.05])
    if kind == 2:
        return "[*:1]@[*:2]>>([*:1].[*:2])"
    if kind == 3:
        size = int(random.choice([3, 4, 5, 6], p=[0.05, 0.05, 0.45, 0.45]))
        inner = "~".join(f"[*;!r:{number}]" for number in range(2, size))
        kept = "~".join(f"[*:{number}]" for number in range(2, size))
        return f"[*;!r;!H0:1]~{inner}~[*;!r;!H0:{size}]>>[*:1]1~{kept}~[*:{size}]1"
    if kind == 4:
        ends = ["[*:1]~[D1]>>[*:1]", "[*:1]~[D2]~[*:2]>>[*:1]-[*:2]"]
        branch = "[*:1]~[D3](~[*;!H0:2])~[*:3]>>[*:1]-[*:2]-[*:3]"
        return one([*ends, branch], [0.35, 0.35, 0.3])
    if kind == 5:
        before, after = random.choice(ELEMENTS, size=2, replace=False)
        return f"[{before}:1]>>[{after}:1]"
    appended = (f"-{one(SINGLES)}", f"={one(DOUBLES)}", f"#{one(TRIPLES)}")[order]
    return f"{('[*;!H0:1]', '[*;!H0;!H1:1]', '[*;H3:1]')[order]}>>[*:1]{appended}"


def _reaction(smarts: str) -> AllChem.ChemicalReaction:
    return AllChem.ReactionFromSmarts(smarts)


def _kekulized(mol: Chem.Mol) -> Chem.Mol:
    mol = Chem.Mol(mol)
    Chem.Kekulize(mol, clearAromaticFlags=True)
    return mol


def _fine(mol: Chem.Mol) -> Chem.Mol | None:
    """The molecule as its SMILES is read, None where it is none, too large, or has rings that cannot be."""
    try:
        text = Chem.MolToSmiles(mol)
    except (ValueError, RuntimeError):
        return None
    made = Chem.MolFromSmiles(text)
    if made is None or "." in text or "*" in text or not 5 < made.GetNumAtoms() <= MOST_ATOMS:
        return None
    if any(len(ring) > LARGEST_RING for ring in made.GetRingInfo().AtomRings()):
        return None
    return None if any(made.HasSubstructMatch(pattern) for pattern in STRAINED) else made
