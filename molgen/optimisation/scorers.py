"""What gives molecules a value, and the scorers that come with molgen: each kind is one entry of BUILT_IN.

A value that cannot be had is missing (NaN), never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from rdkit import Chem, DataStructs

from molgen.errors import InputError
from molgen.evaluation.admet import BATCH, DECIMALS, ENDPOINTS, predictor
from molgen.evaluation.buyable import buyable
from molgen.evaluation.extras import require
from molgen.evaluation.open_reference import open_reference
from molgen.generation.typical import FEWEST, TypicalBounds, percentiles
from molgen.models.checkpoints import Model
from molgen.molecules.alerts import SETS, alerts
from molgen.molecules.fingerprints import bit_vector, fingerprint
from molgen.molecules.hashing import contains, smiles_hashes
from molgen.molecules.parsing import MAX_HEAVY_ATOMS, Rejected, clean, parse_smiles
from molgen.molecules.properties import CATALOGUE
from molgen.molecules.substructures import unseen_ring_systems
from molgen.optimisation.curves import AsItIs, Curve, HalvedByEach, Opposite, Sigmoid
from molgen.parallel import chunks

OWN_SCALE = ("qed", "fraction_sp3")  # properties that go from 0 to 1 and are better the higher
UNUSUAL = 80.0  # percentile of the bound up to which a molecule counts as typical


class Answers(NamedTuple):
    """Values of some molecules, float, NaN where one is missing."""

    smiles: list[str]
    values: list[float]


class Scorer(Protocol):
    """Gives molecules values. curve: the usual one, None where one has to be given."""

    @property
    def curve(self) -> Curve | None: ...

    def answers(self, smiles: Sequence[str]) -> Iterator[Answers]:
        """The values of canonical SMILES, each once, in parts as they are found."""
        ...

    def close(self) -> None:
        """End what it has started."""
        ...


class Place(NamedTuple):
    """Where an objective is used: by a model, and from the folder in which its files are looked for.

    folder: None where it may name no files and bring no code, as on a server.
    """

    model: Model
    folder: Path | None


@dataclass(frozen=True, eq=False)
class Plain:
    """A scorer from a function of one sanitised molecule."""

    function: Callable[[Chem.Mol], float]
    curve: Curve | None = None

    def answers(self, smiles: Sequence[str]) -> Iterator[Answers]:
        """See `Scorer`; all in one part."""
        yield Answers(list(smiles), [float(self.function(Chem.MolFromSmiles(text))) for text in smiles])

    def close(self) -> None:
        """Nothing was started."""


@dataclass(frozen=True, eq=False)
class Likelihood:
    """Percentile of the bound on -log p among training molecules of the same size (molgen.generation.typical)."""

    typical: TypicalBounds
    curve: Curve | None

    def answers(self, smiles: Sequence[str]) -> Iterator[Answers]:
        """See `Scorer`; molecules of one size at a time, as bounds take a while."""
        sizes: dict[int, list[str]] = {}
        for text in smiles:
            sizes.setdefault(Chem.MolFromSmiles(text).GetNumHeavyAtoms(), []).append(text)
        for part in sizes.values():
            yield Answers(part, percentiles(self.typical, part))

    def close(self) -> None:
        """Nothing was started."""


@dataclass(frozen=True, eq=False)
class Admet:
    """What ADMET-AI predicts of one endpoint (molgen.evaluation.admet)."""

    endpoint: str
    curve: Curve | None = None

    def answers(self, smiles: Sequence[str]) -> Iterator[Answers]:
        """See `Scorer`."""
        place = list(ENDPOINTS).index(self.endpoint)
        for part in chunks(smiles, BATCH):
            yield Answers(part, predictor().predict(part)[:, place].round(DECIMALS).tolist())

    def close(self) -> None:
        """Nothing was started."""


def _property(value: object, _place: Place) -> Scorer:
    if not isinstance(value, str) or value not in CATALOGUE:
        raise InputError(f"no property {value!r}; choose from {', '.join(CATALOGUE)}")
    return Plain(CATALOGUE[value], AsItIs() if value in OWN_SCALE else None)


def _similar_to(value: object, _place: Place) -> Scorer:
    return Plain(_nearest(_texts(value, "SMILES")), AsItIs())


def _unlike(value: object, _place: Place) -> Scorer:
    return Plain(_nearest(_texts(value, "SMILES")), Opposite())


def _has(value: object, _place: Place) -> Scorer:
    queries = _patterns(value)
    return Plain(lambda mol: sum(mol.HasSubstructMatch(query) for query in queries) / len(queries), AsItIs())


def _lacks(value: object, _place: Place) -> Scorer:
    queries = _patterns(value)
    return Plain(lambda mol: float(not any(mol.HasSubstructMatch(query) for query in queries)), AsItIs())


def _alerts(value: object, _place: Place) -> Scorer:
    sets = tuple(_texts(value, "names of alert sets"))
    for name in sets:
        if name not in SETS:
            raise InputError(f"no alert set {name!r}; choose from {', '.join(SETS)}")
    return Plain(lambda mol: len({str(alert) for alert in alerts(mol, sets)}), HalvedByEach())


def _unseen_rings(value: object, place: Place) -> Scorer:
    source = _source(value, place.folder)
    known = known_rings(place.model) if source == "model" else _rings_of(source)
    return Plain(lambda mol: unseen_ring_systems(mol, known), HalvedByEach())


def _novel(value: object, place: Place) -> Scorer:
    source = _source(value, place.folder)
    known = place.model.known if source == "model" else open_reference(source).known
    return Plain(lambda mol: float(not contains(known, smiles_hashes([Chem.MolToSmiles(mol)]))[0]), AsItIs())


def _likelihood(value: object, place: Place) -> Scorer:
    if value is not True:
        raise InputError(f"likelihood should be true, got {value!r}")
    typical = TypicalBounds(place.model)
    sizes = place.model.statistics.sizes
    if len(typical.of_size(int(np.argmax(sizes)))) < FEWEST:
        raise InputError(
            f"the likelihood of molecules is compared with that of the training molecules of {place.model.name} "
            f"({typical.name or 'unknown'}), and these are not in molgen's cache here: fetch or prepare them first"
        )
    return Likelihood(typical, Sigmoid(100.0, UNUSUAL))


def _admet(value: object, _place: Place) -> Scorer:
    if not isinstance(value, str) or value not in ENDPOINTS:
        raise InputError(f"no endpoint {value!r}; choose from {', '.join(ENDPOINTS)}")
    require(["admet"])
    return Admet(value)


def _buyable(value: object, _place: Place) -> Scorer:
    if value is not True:
        raise InputError(f"should be true, got {value!r}")
    require(["buyable"])
    return Plain(lambda mol: float(buyable(Chem.MolToSmiles(mol))), AsItIs())


BUILT_IN: dict[str, Callable[[object, Place], Scorer]] = {
    "property": _property,
    "similar_to": _similar_to,
    "unlike": _unlike,
    "has": _has,
    "lacks": _lacks,
    "alerts": _alerts,
    "unseen_rings": _unseen_rings,
    "novel": _novel,
    "likelihood": _likelihood,
    "admet": _admet,
    "buyable": _buyable,
}


def usual_name(kind: str, value: object) -> str:
    """What a component is called where it is given no name: the property or endpoint, else its kind."""
    names = {"property": list(CATALOGUE), "admet": list(ENDPOINTS)}.get(kind, [])
    return value if isinstance(value, str) and value in names else kind.replace("_", " ")


def known_rings(model: Model) -> np.ndarray:
    """Sorted hashes of the ring systems of a model's training molecules, uint64 [k].

    Raises InputError for a model saved without them.
    """
    if model.ring_systems is None:
        raise InputError(
            f"model {model.name} was saved without the ring systems of its training molecules; name a file of "
            "molecules to compare with"
        )
    return model.ring_systems


def pinned_files(kind: str, value: object, folder: Path | None) -> list[Path]:
    """The files, if any, that a built-in component reads."""
    if kind in ("unseen_rings", "novel"):
        path = Path(_source(value, folder))
        return [path] if path.is_file() else []
    return []


def _rings_of(source: str) -> np.ndarray:
    reference = open_reference(source)
    reference.require_molecules()
    return np.sort(smiles_hashes(reference.rings))


def _source(value: object, folder: Path | None) -> str:
    """What molecules are compared with: "model", a file beside the objective, or a name."""
    if folder is None:
        if value != "model":
            raise InputError(f'can only be "model" here (what it was trained on), got {value!r}: no files are read')
        return "model"
    if not isinstance(value, str) or not value:
        raise InputError(
            f'should be "model" (what it was trained on), a data set or a file of molecules, got {value!r}'
        )
    return str(folder / value) if value != "model" and (folder / value).is_file() else value


def _nearest(references: Sequence[str]) -> Callable[[Chem.Mol], float]:
    """The largest Tanimoto similarity (Morgan, radius 2, 2,048 bits) to the references."""
    vectors = []
    for text in references:
        try:
            cleaned = clean(parse_smiles(text))
        except Rejected as reason:
            raise InputError(f"{text!r} cannot be a reference: {reason}") from None
        vectors.append(bit_vector(fingerprint(Chem.MolFromSmiles(cleaned.smiles))))

    def nearest(mol: Chem.Mol) -> float:
        return float(max(DataStructs.BulkTanimotoSimilarity(bit_vector(fingerprint(mol)), vectors)))

    return nearest


def _patterns(value: object) -> list[Chem.Mol]:
    queries = []
    for text in _texts(value, "SMARTS"):
        query = Chem.MolFromSmarts(text) if text else None
        if query is None or not 0 < query.GetNumAtoms() <= MAX_HEAVY_ATOMS:
            raise InputError(f"{text!r} is not SMARTS")
        queries.append(query)
    return queries


def _texts(value: object, what: str) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise InputError(f"should be {what}, or a list of these, got {value!r}")
    return texts
