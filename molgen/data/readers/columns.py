"""Which columns of a table hold the SMILES and the names of the molecules."""

from collections.abc import Iterable
from typing import NamedTuple

from molgen.data.readers.rows import Wanted, column_position, listed
from molgen.errors import InputError
from molgen.molecules.parsing import Rejected, parse_smiles

# Whose column is meant is plain where there is one of these, the first of them before the others.
PLAIN_COLUMNS = ("smiles", "canonical_smiles", "canonicalsmiles", "isomeric_smiles", "isomericsmiles")
OTHER_COLUMNS = ("structure", "molecule", "mol")
SMILES_COLUMNS = PLAIN_COLUMNS + OTHER_COLUMNS
NAME_COLUMNS = (
    *("name", "id", "title", "identifier", "compound", "compound_id", "molecule_name", "chembl_id", "zinc_id"),
    *("molecule_chembl_id", "molecule_id", "mol_id", "compound_name", "cid", "pubchem_cid", "pubchem_compound_cid"),
    *("drugbank_id", "catalog_id", "cas"),
)
LOOK_AT = 100  # rows read to find a SMILES column by its content


class Found(NamedTuple):
    """Position of the SMILES column, and whether the first row is a header."""

    position: int
    has_header: bool


def find_column(header: list[str], rows: list[list[str]], wanted: Wanted) -> Found:
    """The SMILES column of a table; rows: the first ones, the header included. `wanted.on_column` is told of it.

    It is wanted.smiles_column where that is given; otherwise one whose header says so, or else one whose cells parse.
    Raises InputError where there is none, and where there are several and no plain name among them.
    """
    if wanted.smiles_column is not None:
        found = Found(column_position(header, wanted.smiles_column, wanted.label), True)
    else:
        named = smiles_named(header)
        if len(named) > 1:
            named = [position for position in named if _share(_cells(rows, position)) >= 0.5] or named
            if len(named) > 1:
                raise _several(header, named, wanted.label)
        found = Found(named[0], True) if named else _by_content(header, rows, wanted.label)
    if wanted.on_column is not None:
        name = header[found.position].strip()
        wanted.on_column(name if found.has_header else f"{found.position + 1} (the table has no header)")
    return found


def smiles_named(header: list[str]) -> list[int]:
    """Positions of the columns whose name says SMILES: of those of the plainest name, else of all."""
    names = [_plain(cell) for cell in header]
    for name in PLAIN_COLUMNS:
        if name in names:
            return [position for position, cell in enumerate(names) if cell == name]
    return [position for position, cell in enumerate(names) if "smiles" in cell or cell in OTHER_COLUMNS]


def name_column(header: list[str]) -> int | None:
    """Position of the column of names, by the first of NAME_COLUMNS in a header; None where there is none."""
    names = [_plain(cell) for cell in header]
    return next((names.index(name) for name in NAME_COLUMNS if name in names), None)


def is_name(column: str) -> bool:
    """Whether a column, or a data field of an SDF, is called one of NAME_COLUMNS."""
    return _plain(column) in NAME_COLUMNS


def is_smiles(text: str) -> bool:
    """Whether RDKit reads it as a molecule."""
    try:
        parse_smiles(text)
    except Rejected:
        return False
    return True


def is_inchi(texts: Iterable[str]) -> bool:
    """Whether one of the texts is an InChI."""
    return any(text.strip().startswith("InChI=") for text in texts)


def _plain(cell: str) -> str:
    return cell.strip().lower().replace(" ", "_").replace("-", "_")


def _cells(rows: list[list[str]], position: int) -> list[str]:
    """The cells of a column below the header that are not empty."""
    return [row[position] for row in rows[1:] if position < len(row) and row[position].strip()]


def _share(cells: list[str]) -> float:
    return sum(is_smiles(cell) for cell in cells) / len(cells) if cells else 0.0


def _by_content(header: list[str], rows: list[list[str]], label: str) -> Found:
    """The column whose cells parse."""
    shortest = 2.0 if len(header) > 1 else 0.0  # "F" and "I" parse: a column of such letters is seldom one of molecules
    found = []
    for position in range(len(header)):
        cells = _cells(rows, position) or [header[position]]
        if sum(map(len, cells)) / len(cells) > shortest and _share(cells) >= 0.5:
            found.append(position)
    if len(found) > 1:  # a name may parse as well
        found = [position for position in found if not is_name(header[position])] or found
    if len(found) > 1:
        raise _several(header, found, label)
    if found:
        return Found(found[0], not is_smiles(header[found[0]]))
    for position, name in enumerate(header):
        if is_inchi([name, *_cells(rows, position)[:5]]):
            raise InputError(
                f"column {name[:40]!r} of {label} holds InChI, which is not read; add a column of SMILES, for example "
                "with RDKit or Open Babel"
            )
    raise InputError(
        f"no column of {label} holds SMILES; columns: {listed(header)}; name the column", parameter="smiles_column"
    )


def _several(header: list[str], positions: list[int], label: str) -> InputError:
    names = [header[position] for position in positions]
    if all(map(is_smiles, names)):  # then they are molecules
        numbers = ", ".join(str(position + 1) for position in positions)
        return InputError(
            f"the columns {numbers} of {label} all hold SMILES; write a first line of names, with smiles above the one "
            "to read"
        )
    return InputError(
        f"several columns of {label} can be the SMILES: {listed(names)}; call the right one smiles, or name it",
        parameter="smiles_column",
    )
