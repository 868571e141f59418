"""What model.json and the tensors beside it must be like, checked before anything is built from them."""

import math
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import torch

from molgen.data.dataset import JsonObject, StatisticsRecord
from molgen.errors import InputError
from molgen.molecules.vocabulary import BOND_CLASSES

MOST_CLASSES = 256  # of atoms: graphs are kept as uint8
MOST_NODES = 1_000
MOST_CHARGE = 127
MOST_GRAPHS = 10**12
MOST_TARGETS = 100
FLOATS = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
_SYMBOLS = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb "
    "Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au "
    "Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts "
    "Og"
)
ELEMENTS = frozenset(_SYMBOLS.split())


def check_record(record: JsonObject) -> None:
    """Raises InputError for a model.json of which something is missing, of another type or out of bounds.

    The values of the configuration are checked by its own class.
    """
    for key, kind in (("backend", str), ("config", dict), ("vocabulary", list), ("statistics", dict)):
        if not isinstance(record.get(key), kind):
            raise InputError(f"{key} should be a JSON {_name(kind)}, got {_shown(record.get(key))}")
    _check_vocabulary(record["vocabulary"])
    _check_statistics(record["statistics"], len(record["vocabulary"]))


def _check_vocabulary(rows: list[object]) -> None:
    if not 1 <= len(rows) <= MOST_CLASSES:
        raise InputError(f"vocabulary should have 1 to {MOST_CLASSES} atom classes, got {len(rows)}")
    for row in rows:
        if not isinstance(row, list) or len(row) != 2:
            raise InputError(f"an atom class should be an element and a charge, got {_shown(row)}")
        element, charge = row
        if not isinstance(element, str) or element not in ELEMENTS:
            raise InputError(f"an atom class should have the symbol of an element, got {_shown(element)}")
        if not _is_integer(charge) or abs(charge) > MOST_CHARGE:
            raise InputError(f"a charge should be a whole number up to {MOST_CHARGE}, got {_shown(charge)}")


def _check_statistics(record: JsonObject, classes: int) -> None:
    sizes = record.get("sizes")
    if not isinstance(sizes, list) or not 2 <= len(sizes) <= MOST_NODES + 1:
        found = len(sizes) if isinstance(sizes, list) else _shown(sizes)
        raise InputError(f"sizes should be a list of 2 to {MOST_NODES + 1} counts, got {found}")
    for count in sizes:
        if not _is_integer(count) or not 0 <= count <= MOST_GRAPHS:
            raise InputError(f"sizes should be whole numbers of 0 to {MOST_GRAPHS:,}, got {_shown(count)}")
    if sizes[0] or not any(sizes):
        raise InputError("sizes should count at least one graph, and none of 0 nodes")
    for key, length in (("atoms", classes), ("bonds", len(BOND_CLASSES))):
        shares = _numbers(key, record.get(key), length)
        # a set of single atoms has no pairs, and so no share of any bond
        if min(shares) < 0 or not (abs(sum(shares) - 1) < 1e-3 or (key == "bonds" and not any(shares))):
            raise InputError(f"{key} should be shares that add up to 1, got {_shown(shares)}")
    _check_targets(cast(StatisticsRecord, record))


def _check_targets(record: StatisticsRecord) -> None:
    targets = record.get("targets", [])
    if not isinstance(targets, list) or len(targets) > MOST_TARGETS:
        raise InputError(f"targets should be a list of at most {MOST_TARGETS}")
    for target in targets:
        if not isinstance(target, list) or len(target) != 5 or not isinstance(target[0], str):
            raise InputError(f"a target should be a name and four numbers, got {_shown(target)}")
        _, deviation, low, high = _numbers(f"target {_shown(target[0])}", target[1:], 4)
        if deviation <= 0 or low > high:
            raise InputError(f"target {_shown(target[0])} should have a deviation above 0 and low below high")
    if len({target[0] for target in targets}) < len(targets):
        raise InputError("targets should have different names")
    if "target_sizes" not in record:
        return
    tables, lengths = record["target_sizes"], (len(record["sizes"]), len(targets))
    if not targets or not isinstance(tables, list) or len(tables) != 2:
        raise InputError("target_sizes should be two tables, and go with targets")
    for name, table, length in zip(("means", "covariance"), tables, lengths, strict=True):
        if not isinstance(table, list) or len(table) != length:
            raise InputError(f"the {name} of target_sizes should have {length} rows")
        for row in table:
            _numbers(f"a row of the {name} of target_sizes", row, len(targets))
    covariance = np.array(tables[1], np.float64)
    # written with 5 digits
    if not np.allclose(covariance, covariance.T, rtol=1e-3) or np.linalg.eigvalsh(covariance).min() <= 0:
        raise InputError("the covariance of target_sizes should be symmetric and positive definite")


def check_weights(weights: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    """Raises InputError for weights that do not fit a state dict, whose tensors may be without content, or not finite.

    Weights may be of any floating type: they are converted when they are loaded.
    """
    for name, tensor in expected.items():
        if name not in weights:
            raise InputError(f"there is no tensor {name}")
        found = weights[name]
        if found.shape != tensor.shape:
            raise InputError(f"{name} should have the shape {list(tensor.shape)}, got {list(found.shape)}")
        if found.dtype not in (FLOATS if tensor.dtype in FLOATS else (tensor.dtype,)):
            raise InputError(f"{name} should be of type {tensor.dtype}, got {found.dtype}")
        if not bool(torch.isfinite(found.to(tensor.dtype)).all()):
            raise InputError(f"{name} holds numbers that are not finite")
    unknown = sorted(set(weights) - set(expected))
    if unknown:
        raise InputError(f"the model has no tensor {_shown(unknown[0])}")


def check_known(hashes: np.ndarray) -> None:
    """Raises InputError for hashes that are not one row of ascending uint64, as the search in them needs."""
    if hashes.dtype != np.uint64 or hashes.ndim != 1:
        raise InputError(f"hashes should be uint64 in one row, got {hashes.dtype} of shape {list(hashes.shape)}")
    if bool((hashes[1:] < hashes[:-1]).any()):
        raise InputError("hashes should be in ascending order")


def check_bounds(bounds: Mapping[int, np.ndarray], sizes: Sequence[int]) -> None:
    """Raises InputError for bounds of sizes that the model lacks, and for rows not of ascending finite float32."""
    for size, row in bounds.items():
        if not (0 < size < len(sizes) and sizes[size]):
            raise InputError(f"bounds of molecules of {size} atoms, which the model does not know")
        if row.dtype != np.float32 or row.ndim != 1:
            raise InputError(f"bounds should be float32 in one row, got {row.dtype} of shape {list(row.shape)}")
        if not np.isfinite(row).all() or bool((row[1:] < row[:-1]).any()):
            raise InputError("bounds should be finite numbers in ascending order")


def _numbers(name: str, values: object, length: int) -> list[float]:
    if not isinstance(values, list) or len(values) != length:
        raise InputError(f"{name} should be a list of {length} numbers, got {_shown(values)}")
    for value in values:
        # math.isfinite fails for whole numbers that no float can hold
        if not isinstance(value, float) and not (_is_integer(value) and abs(value) <= MOST_GRAPHS):
            raise InputError(f"{name} should be numbers, got {_shown(value)}")
        if not math.isfinite(value):
            raise InputError(f"{name} should be finite numbers, got {_shown(value)}")
    return [float(value) for value in values]


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _name(kind: type) -> str:
    words: dict[type, str] = {str: "string", dict: "object", list: "list"}
    return words[kind]


def _shown(value: object) -> str:
    """A value for a message, cut where it is long."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
