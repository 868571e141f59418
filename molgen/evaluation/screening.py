"""Screening profiles: which molecules pass, which rules the others fail, and a diverse pick among the survivors."""

import math
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from rdkit import Chem, DataStructs
from rdkit.ML.Cluster import Butina
from rdkit.SimDivFilters import rdSimDivPickers

from molgen.errors import InputError
from molgen.molecules.alerts import SETS, has_alert
from molgen.molecules.fingerprints import bit_vector, fingerprint
from molgen.molecules.parsing import Rejected, parse_smiles
from molgen.molecules.properties import NUMBERS
from molgen.molecules.substructures import scaffold

FOLDER = Path(__file__).parent / "profiles"
MAX_CLUSTERED = 3_000  # molecules; all pairs of them are compared
CLUSTER_DISTANCE = 0.4
KEYS = {
    "": ("description", "pick", "ranges", "alerts", "substructures", "similarity"),
    "alerts": ("reject",),
    "substructures": ("must_have", "must_not_have", "avoid_scaffolds"),
    "similarity": ("to", "range"),
}
Table = dict[str, object]  # of TOML


@dataclass(frozen=True)
class Profile:
    """What a screen asks of a molecule.

    ranges: property -> (low, high); alerts: sets of molgen.molecules.alerts of which no alert may be there; must_have,
    must_not_have: SMARTS; avoid_scaffolds: Murcko scaffolds as canonical SMILES; actives: canonical SMILES, and window:
    (low, high) of the largest Tanimoto similarity to them; pick: molecules to pick among the survivors.
    """

    name: str
    description: str
    pick: int
    ranges: dict[str, tuple[float, float]]
    alerts: tuple[str, ...]
    must_have: tuple[str, ...]
    must_not_have: tuple[str, ...]
    avoid_scaffolds: tuple[str, ...]
    actives: tuple[str, ...]
    window: tuple[float, float]


class Criterion(NamedTuple):
    """A rule of a profile: what it is called and which rows of an assessment keep it, bool [m]."""

    name: str
    keeps: np.ndarray


class Screened(NamedTuple):
    """fails: for each row the rules that it fails, joined by "; ". funnel: a line for each rule, in order."""

    fails: list[str]
    funnel: pd.DataFrame


def shipped_profiles() -> list[str]:
    """Names of the profiles that come with molgen."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def profile_text(name: str) -> str:
    """The TOML of a shipped profile, or of a file that `load_profile` took."""
    path = FOLDER / f"{name}.toml" if name in shipped_profiles() else Path(name)
    return path.read_text(encoding="utf-8")


def load_profile(name: str) -> Profile:
    """A shipped profile by its name, or the TOML file of that path. Raises InputError with the line of the mistake."""
    path = FOLDER / f"{name}.toml"
    if name not in shipped_profiles():
        path = Path(name)
        if not path.is_file():
            raise InputError(f"no profile {name!r}; choose from {', '.join(shipped_profiles())}, or give a TOML file")
    try:
        text = path.read_text(encoding="utf-8")
        return parse_profile(path.stem, text, str(path) if path.parent != FOLDER else name)
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from None


def parse_profile(name: str, text: str, label: str) -> Profile:
    """The profile that a TOML text describes; label: what errors call it. Raises InputError, with the line."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{label} is not TOML: {error}") from None

    def wrong(key: str, what: str) -> InputError:
        lines = [number for number, line in enumerate(text.splitlines(), 1) if key in line.split("#")[0]]
        return InputError(f"{label}, line {lines[0] if lines else '?'}: {what}")

    def known(part: Table, section: str, allowed: Iterable[str]) -> None:
        for key in part:
            if key not in allowed:
                where = f"[{section}] has no {key!r}" if section else f"no key {key!r} here"
                raise wrong(key, f"{where}; allowed: {', '.join(allowed)}")

    def section(key: str) -> Table:
        part = table.get(key, {})
        if not isinstance(part, dict):
            raise wrong(key, f"{key} should be a table, [{key}]")
        return part

    def texts(part: Table, key: str) -> tuple[str, ...]:
        values = part.get(key, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise wrong(key, f"{key} should be a list of texts, got {values!r}")
        return tuple(values)

    known(table, "", KEYS[""])
    for key in ("alerts", "substructures", "similarity"):
        known(section(key), key, KEYS[key])
    known(section("ranges"), "ranges", NUMBERS)
    ranges = {key: _range(value, key, wrong) for key, value in section("ranges").items()}
    for key in texts(section("alerts"), "reject"):
        if key not in SETS:
            raise wrong(key, f"no alert set {key!r}; allowed: {', '.join(SETS)}")
    patterns = {key: texts(section("substructures"), key) for key in ("must_have", "must_not_have")}
    for values in patterns.values():
        for smarts in values:
            if not smarts or Chem.MolFromSmarts(smarts) is None:
                raise wrong(smarts or "must", f"{smarts!r} is not SMARTS")
    similarity = section("similarity")
    if ("to" in similarity) != ("range" in similarity):
        raise wrong("similarity", "[similarity] needs both to (SMILES) and range")
    if similarity and not texts(similarity, "to"):
        raise wrong("to", "[similarity] needs at least one molecule in to")
    pick = table.get("pick", 50)
    if not isinstance(pick, int) or isinstance(pick, bool) or pick < 1:
        raise wrong("pick", f"pick should be a number of molecules, at least 1, got {pick!r}")
    description = table.get("description", "")
    if not isinstance(description, str):
        raise wrong("description", f"description should be a text, got {description!r}")
    window = _range(similarity["range"], "range", wrong) if similarity else (0.0, 1.0)
    return Profile(
        name,
        description,
        pick,
        ranges,
        texts(section("alerts"), "reject"),
        patterns["must_have"],
        patterns["must_not_have"],
        tuple(_scaffold(text, wrong) for text in texts(section("substructures"), "avoid_scaffolds")),
        tuple(_active(text, wrong) for text in texts(similarity, "to")),
        window,
    )


def screen(profile: Profile, frame: pd.DataFrame, first: np.ndarray) -> Screened:
    """What each row of an assessment fails, and how many each rule lets through.

    first: bool [m], whether a valid molecule is the first of its kind. The funnel has the columns rule, entered, left
    (of those that came through all rules before) and failing (of all valid molecules; of the rows where the rule is to
    be valid).
    """
    valid = frame["valid"].to_numpy(bool)
    rules = [Criterion("valid", valid), Criterion("not a repeat", first | ~valid), *criteria(profile, frame, valid)]
    inside = np.ones(len(frame), bool)
    lines = []
    for rule in rules:
        left = inside & rule.keeps
        failing = int((~rule.keeps).sum()) if rule.name == "valid" else int((valid & ~rule.keeps).sum())
        lines.append((rule.name, int(inside.sum()), int(left.sum()), failing))
        inside = left
    fails = [
        "not valid" if not fine else "; ".join(rule.name for rule in rules[1:] if not rule.keeps[row])
        for row, fine in enumerate(valid)
    ]
    return Screened(fails, pd.DataFrame(lines, columns=["rule", "entered", "left", "failing"]))


def diverse_pick(fingerprints: Sequence[bytes], count: int) -> list[int]:
    """Positions of `count` fingerprints that are far from each other (MaxMin, Ashton et al. 2002), all where fewer."""
    if len(fingerprints) <= count:
        return list(range(len(fingerprints)))
    vectors = [bit_vector(packed) for packed in fingerprints]
    return list(rdSimDivPickers.MaxMinPicker().LazyBitVectorPick(vectors, len(vectors), count, seed=0))


def clusters(fingerprints: Sequence[bytes]) -> list[tuple[int, ...]]:
    """Butina clusters (1999) of the first MAX_CLUSTERED fingerprints, largest first; positions, the centre first."""
    vectors = [bit_vector(packed) for packed in fingerprints[:MAX_CLUSTERED]]
    distances = [
        1 - similarity
        for row in range(1, len(vectors))
        for similarity in DataStructs.BulkTanimotoSimilarity(vectors[row], vectors[:row])
    ]
    found = Butina.ClusterData(  # type: ignore[no-untyped-call]
        distances, len(vectors), CLUSTER_DISTANCE, isDistData=True, reordering=True
    )
    return list(found)


def criteria(profile: Profile, frame: pd.DataFrame, valid: np.ndarray) -> list[Criterion]:
    """The rules of a profile on the rows of an assessment, in order; valid: bool [m]."""
    rules = []
    for key, (low, high) in profile.ranges.items():
        values = frame[key].to_numpy(float)
        rules.append(Criterion(f"{key} {low:g} to {high:g}", (values >= low) & (values <= high)))  # NaN fails
    for name in profile.alerts:
        rules.append(Criterion(f"no {name} alert", ~has_alert(frame["alerts"], name)))
    patterns = [(text, True) for text in profile.must_have] + [(text, False) for text in profile.must_not_have]
    if patterns:
        molecules = [parse_smiles(smiles) if fine else None for smiles, fine in zip(frame.smiles, valid, strict=True)]
        for smarts, wanted in patterns:
            query = Chem.MolFromSmarts(smarts)
            keeps = [mol is not None and mol.HasSubstructMatch(query) == wanted for mol in molecules]
            rules.append(Criterion(f"{'has' if wanted else 'lacks'} {smarts}", np.array(keeps, bool)))
    for smiles in profile.avoid_scaffolds:
        rules.append(Criterion(f"scaffold not {smiles}", (frame["scaffold"] != smiles).to_numpy(bool)))
    if profile.actives:
        low, high = profile.window
        actives = [bit_vector(fingerprint(Chem.MolFromSmiles(smiles))) for smiles in profile.actives]
        nearest = np.array(
            [
                max(DataStructs.BulkTanimotoSimilarity(bit_vector(packed), actives)) if fine else math.nan
                for packed, fine in zip(frame["fingerprint"], valid, strict=True)
            ]
        )
        rules.append(Criterion(f"similarity to actives {low:g} to {high:g}", (nearest >= low) & (nearest <= high)))
    return rules


def _range(value: object, key: str, wrong: Callable[[str, str], InputError]) -> tuple[float, float]:
    if isinstance(value, list) and len(value) == 2:
        low, high = value
        if all(isinstance(end, int | float) and not isinstance(end, bool) for end in value) and low <= high:
            return float(low), float(high)
    raise wrong(key, f"{key} should be a range [low, high], got {value!r}")


def _scaffold(text: str, wrong: Callable[[str, str], InputError]) -> str:
    found = scaffold(_molecule(text, wrong))
    if not found:
        raise wrong(text, f"{text!r} has no ring, and so no scaffold to avoid")
    return found


def _active(text: str, wrong: Callable[[str, str], InputError]) -> str:
    smiles = Chem.MolToSmiles(_molecule(text, wrong))
    if "." in smiles:
        raise wrong(text, f"{text!r} has several fragments; give the molecule alone")
    return smiles


def _molecule(text: str, wrong: Callable[[str, str], InputError]) -> Chem.Mol:
    try:
        return parse_smiles(text)
    except Rejected as reason:
        raise wrong(text, f"{text!r} is not a molecule ({reason})") from None
