"""What a chemist asks of the atoms of a molecule: its formula, or its atoms with their numbers of neighbours."""

import re
from collections import Counter
from dataclasses import dataclass

from rdkit import Chem

from molgen.errors import InputError
from molgen.molecules.encoding import bound_atoms, implied_hydrogens
from molgen.molecules.vocabulary import AtomClass, Vocabulary

MAX_COUNT = 250
LONGEST = 1_000  # characters of a formula whose capitals are guessed
DIGITS = "0123456789"
SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", DIGITS)
PART = re.compile(r"([A-Z][a-z]?)(\d*)")
# no atom of a kekulized molecule has more bonds or a larger sum of bond orders
MOST_BONDS = 6


@dataclass(frozen=True)
class Request:
    """The heavy atoms that every molecule of a run should have, sorted by element and number of neighbours.

    text: as asked for, in Hill order if a formula; elements: of each atom; degrees: its number of heavy neighbours, if
    asked for; hydrogens: in all, if asked for.
    """

    text: str
    elements: tuple[str, ...]
    degrees: tuple[int, ...] | None
    hydrogens: int | None

    @property
    def size(self) -> int:
        """Number of heavy atoms."""
        return len(self.elements)

    @property
    def weight(self) -> float:
        """Molecular weight in g/mol, of all hydrogens that are asked for."""
        table = Chem.GetPeriodicTable()
        return sum(map(table.GetAtomicWeight, self.elements)) + (self.hydrogens or 0) * table.GetAtomicWeight("H")

    def matched_by(self, mol: Chem.Mol) -> bool:
        """Whether a sanitised molecule has exactly these atoms."""
        atoms = sorted(bound_atoms(mol))
        if [element for element, _, _ in atoms] != list(self.elements):
            return False
        if self.degrees is not None and [degree for _, degree, _ in atoms] != list(self.degrees):
            return False
        return self.hydrogens is None or sum(count for _, _, count in atoms) == self.hydrogens

    @property
    def valences(self) -> dict[str, tuple[int, ...]]:
        """The sums of bond orders, hydrogens included, that each element without charge can have; with -1 for any."""
        table = Chem.GetPeriodicTable()
        return {element: tuple(sorted(table.GetValenceList(element))) for element in set(self.elements)}

    def classes(self, vocabulary: Vocabulary) -> list[int]:
        """The class of each atom without charge, in order."""
        return [vocabulary.index[AtomClass(element, 0)] for element in self.elements]


def formula_request(text: str, vocabulary: Vocabulary, sizes: tuple[int, ...]) -> Request:
    """The request for molecules of a formula such as C7H9NO2, hydrogens included.

    sizes: number of training graphs of n nodes, at index n. Raises InputError for a formula that cannot be read, lies
    outside the model, or that no molecule without charges and radicals has.
    """
    counts: Counter[str] = Counter()
    for element, number in _parts(text, [atom.element for atom in vocabulary.atoms]):
        counts[element] += int(number) if number and len(number) < 5 else MAX_COUNT + 1 if number else 1
    if 0 in counts.values() or max(counts.values()) > MAX_COUNT:
        raise InputError(f"formula {text!r} should have between 1 and {MAX_COUNT} atoms of each element in it")
    hydrogens = counts.pop("H", 0)
    elements = _known(counts, vocabulary, sizes, f"formula {text!r}")
    valences = [_valence(element) for element in elements]
    if (sum(valences) - hydrogens) % 2:
        raise InputError(
            f"formula {text!r} has an odd number of unpaired electrons; "
            f"with these atoms the number of hydrogens is {'even' if sum(valences) % 2 == 0 else 'odd'}"
        )
    most = sum(valences) - 2 * (len(elements) - 1)
    if hydrogens > most:
        raise InputError(f"formula {text!r} has {hydrogens} hydrogens, and at most {max(0, most)} fit on its atoms")
    return Request(_hill(counts, hydrogens), elements, None, hydrogens)


def _parts(text: str, known: list[str]) -> list[tuple[str, str]]:
    """Elements of a formula with what is written after them: C6H9NO2, C6 H9 N O2, C₆H₉NO₂; small letters if clear."""
    words = text.translate(SUBSCRIPTS).split()
    if words and not any(PART.sub("", word) for word in words):
        return [part for word in words for part in PART.findall(word)]
    readings: list[list[tuple[str, str]]] = [[]] if words else []
    for word in words:
        readings = [[*before, *after] for before in readings for after in _readings(word, {*known, "H"})][:2]
    if len(readings) == 1:
        return readings[0]
    if readings:
        first, second = ("".join(map("".join, reading)) for reading in readings[:2])
        raise InputError(f"formula {text!r} can be read as {first} and as {second}; write elements with capitals")
    raise InputError(f"formula {text!r} cannot be read; write it like C7H9NO2, without charges and brackets")


def _readings(word: str, known: set[str]) -> list[list[tuple[str, str]]]:
    """The first ways, two at most, to read a word without regard to capitals, as elements that are known."""
    if len(word) > LONGEST:
        return []
    ways: list[list[list[tuple[str, str]]]] = [[] for _ in word] + [[[]]]  # from each place to the end
    for place in reversed(range(len(word))):
        for length in (1, 2):
            element, rest = word[place : place + length], word[place + length :]
            if len(element) == length and element.capitalize() in known:
                number = rest[: len(rest) - len(rest.lstrip(DIGITS))]
                after = ways[place + length + len(number)]
                ways[place] += [[(element.capitalize(), number), *way] for way in after]
        ways[place] = ways[place][:2]
    return ways[0]


def atoms_request(text: str, vocabulary: Vocabulary, sizes: tuple[int, ...]) -> Request:
    """The request for atoms with their numbers of neighbours, such as "C3 C2 C2 O1": hydrogens count neither way.

    Raises InputError for a list that cannot be read, lies outside the model, or that no connected molecule has.
    """
    atoms = []
    for word in text.replace(",", " ").split():
        part = PART.fullmatch(word)
        if part is None or not part[2] or not 0 <= int(part[2][:4]) <= MOST_BONDS:
            raise InputError(
                f"{word!r} in atoms {text!r} should be an element and its number of neighbours, 0 to {MOST_BONDS}, "
                "such as C3"
            )
        atoms.append((part[1], int(part[2])))
    elements = _known(Counter(element for element, _ in atoms), vocabulary, sizes, f"atoms {text!r}")
    atoms.sort()
    degrees = tuple(degree for _, degree in atoms)
    for element, degree in atoms:
        charges = [atom.charge for atom in vocabulary.atoms if atom.element == element]
        if all(implied_hydrogens(AtomClass(element, charge), degree) is None for charge in charges):
            raise InputError(f"atoms {text!r}: {element} cannot have {degree} neighbours")
    if sum(degrees) % 2 or sum(degrees) < 2 * (len(degrees) - 1):
        raise InputError(
            f"atoms {text!r} have {sum(degrees)} neighbours in all; that number should be even, and "
            f"{2 * (len(degrees) - 1)} at least for one connected molecule"
        )
    return Request(" ".join(f"{element}{degree}" for element, degree in atoms), elements, degrees, None)


def _known(counts: Counter[str], vocabulary: Vocabulary, sizes: tuple[int, ...], what: str) -> tuple[str, ...]:
    """The elements of all atoms, sorted, where the model knows them and their number."""
    known = [atom.element for atom in vocabulary.atoms if atom.charge == 0]
    for element in counts:
        if element not in known:
            raise InputError(f"{what} has {element}; the model knows {', '.join(known)}")
    total = sum(counts.values())
    if total >= len(sizes) or not sizes[total]:
        possible = [size for size, count in enumerate(sizes) if count]
        raise InputError(
            f"{what} has {total} heavy atoms; the model makes molecules of {possible[0]} to {possible[-1]}"
        )
    return tuple(sorted(counts.elements()))


def _valence(element: str) -> int:
    """The largest sum of bond orders of a neutral atom."""
    valences = list(Chem.GetPeriodicTable().GetValenceList(element))
    return max(valences) if max(valences) > 0 else MOST_BONDS


def _hill(counts: Counter[str], hydrogens: int) -> str:
    both = counts + Counter({"H": hydrogens} if hydrogens else {})
    first = [element for element in ("C", "H") if element in both] if "C" in both else []
    order = first + sorted(element for element in both if element not in first)
    return "".join(element + (str(both[element]) if both[element] > 1 else "") for element in order)
