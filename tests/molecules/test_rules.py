"""Rules of thumb of drug-likeness."""

import math

from molgen.molecules.properties import NUMBERS
from molgen.molecules.rules import RULES


def test_rules_allow_what_their_authors_allow():
    fine = {"mw": 600.0, "logp": 4.0, "hbd": 1.0, "hba": 1.0}
    assert RULES["lipinski"].kept(fine)  # one miss
    assert not RULES["lipinski"].kept(fine | {"logp": 6.0})
    assert RULES["lipinski"].kept(fine | {"logp": math.nan}) is None


def test_rules_are_of_known_properties_and_hold_their_ends():
    assert all(name in NUMBERS for rule in RULES.values() for name in rule.ranges)
    ends = {"mw": 350.0, "logp": -1.0, "rotatable_bonds": 7.0}
    assert RULES["lead_like"].kept(ends)
    assert not RULES["lead_like"].kept(ends | {"mw": 350.1})
