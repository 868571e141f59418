"""The ordered classes of atoms and bonds that a typed graph is written in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from molgen.errors import InputError


class AtomClass(NamedTuple):
    """An element with its formal charge, such as ("N", 1)."""

    element: str
    charge: int

    def __str__(self) -> str:
        if self.charge == 0:
            return self.element
        sign = "+" if self.charge > 0 else "-"
        return f"{self.element}{sign}{abs(self.charge) if abs(self.charge) > 1 else ''}"


# Kekulized: aromatic rings are written with alternating single and double bonds, which keeps
# bond orders whole numbers and makes SMILES -> graph -> SMILES exact.
BOND_CLASSES = ("none", "single", "double", "triple")


@dataclass(frozen=True)
class Vocabulary:
    """Atom classes in the order of their class index; the bond classes are BOND_CLASSES.

    Raises InputError when empty or for a duplicate class.
    """

    atoms: tuple[AtomClass, ...]

    def __post_init__(self) -> None:
        if not self.atoms:
            raise InputError("a vocabulary needs at least one atom class, got none")
        if len(set(self.atoms)) != len(self.atoms):
            raise InputError(f"duplicate atom class in {', '.join(map(str, self.atoms))}")

    @property
    def index(self) -> dict[AtomClass, int]:
        """Class index of each atom class."""
        return {atom: position for position, atom in enumerate(self.atoms)}

    def to_json(self) -> list[list[str | int]]:
        """A list of [element, charge]."""
        return [[atom.element, atom.charge] for atom in self.atoms]

    @classmethod
    def from_json(cls, rows: Iterable[Sequence[str | int]]) -> "Vocabulary":
        """The vocabulary written by `to_json`."""
        return cls(tuple(AtomClass(str(element), int(charge)) for element, charge in rows))
