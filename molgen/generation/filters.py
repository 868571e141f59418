"""What a run keeps of the valid molecules that it drew: a filter afterwards, not a condition on the drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from rdkit import Chem

from molgen.data.readers import Row
from molgen.errors import InputError
from molgen.evaluation.assessment import assess_one
from molgen.evaluation.screening import Criterion, Profile, criteria
from molgen.generation.faults import familiar
from molgen.generation.leads import Lead, Window
from molgen.generation.wanted import Wanted
from molgen.models.checkpoints import Model
from molgen.molecules.hashing import contains, smiles_hashes

KNOWN_RINGS = "ring systems of training molecules alone"


@dataclass(frozen=True, eq=False)
class Filter:
    """profile: the rules of a screen; ring_systems: sorted hashes of the allowed ones, uint64 [k], None for any.

    lead, window: what molecules should be similar to, without being it, and how.
    """

    profile: Profile | None = None
    ring_systems: np.ndarray | None = None
    lead: Lead | None = None
    window: Window | None = None

    @cached_property
    def rules(self) -> list[str]:
        """What the rules are called, in the order in which they are applied."""
        return [rule.name for rule in self._criteria(["C"])]

    def first_failed(self, smiles: Sequence[str]) -> np.ndarray:
        """The position in `rules` of the first rule that each valid molecule fails, int64 [m]; -1 if it keeps all."""
        if not smiles or not self.rules:
            return np.full(len(smiles), -1)
        fails = ~np.stack([rule.keeps for rule in self._criteria(smiles)], 1)
        return np.where(fails.any(1), fails.argmax(1), -1)

    def _criteria(self, smiles: Sequence[str]) -> list[Criterion]:
        frame = pd.DataFrame([assess_one(Row(number, "", text)) for number, text in enumerate(smiles, 1)])
        rules = []
        if self.lead is not None and self.window is not None:
            near = self.lead.similarity([Chem.MolFromSmiles(text) for text in smiles])
            low, high = self.window
            rules.append(Criterion("not the molecule itself", np.array([text != self.lead.smiles for text in smiles])))
            rules.append(Criterion(f"similarity {low:g} to {high:g}", (near >= low) & (near <= high)))
        if self.profile is not None:
            rules += criteria(self.profile, frame, np.ones(len(frame), bool))
        if self.ring_systems is not None:
            systems = [text.split("; ") if text else [] for text in frame["ring_systems"]]
            known = [bool(contains(self.ring_systems, smiles_hashes(names)).all()) for names in systems]
            rules.append(Criterion(KNOWN_RINGS, np.array(known, bool)))
        return rules


def make_filter(
    model: Model,
    profile: Profile | None,
    known_rings: bool,
    wanted: Wanted,
    window: Window | None = None,
) -> Filter | None:
    """The filter of a run, None where nothing is asked. known_rings: those of a core or lead count as known.

    Raises InputError for a model whose folder does not hold the ring systems of its training molecules.
    """
    if profile is None and not known_rings and wanted.lead is None:
        return None
    if known_rings and model.ring_systems is None:
        raise InputError(
            f"model {model.name} was saved without the ring systems of its training molecules, by an earlier molgen: "
            "they cannot be told from others"
        )
    return Filter(profile, familiar(model, wanted).ring_systems if known_rings else None, wanted.lead, window)
