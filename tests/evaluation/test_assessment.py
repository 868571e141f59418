"""The table of molecules: known values of known molecules, and every row of the input in it."""

import math

import pandas as pd
import pytest

from molgen.data.readers import Row
from molgen.evaluation.assessment import assess, assess_one
from molgen.evaluation.verdicts import judge_one
from molgen.molecules.properties import NUMBERS
from molgen.molecules.rules import RULES

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


def row(text: str, name: str = "", line: int = 1) -> Row:
    return Row(line, name, text)


def test_aspirin():
    record = assess_one(row(ASPIRIN))
    assert (record["valid"], record["reason"], record["smiles"]) == (True, "", ASPIRIN)
    assert (record["inchikey"], record["formula"]) == ("BSYNRYMUTXBXSQ-UHFFFAOYSA-N", "C9H8O4")
    assert record["mw"] == pytest.approx(180.16, abs=0.01)
    assert (record["hbd"], record["hba"], record["rotatable_bonds"]) == (1, 3, 2)
    assert (record["rings"], record["aromatic_rings"], record["heavy_atoms"], record["atoms"]) == (1, 1, 13, 21)
    assert record["fraction_sp3"] == pytest.approx(1 / 9)
    assert (record["stereocentres"], record["formal_charge"]) == (0, 0)
    # MW 180 is below the 200 of a lead
    verdicts = {name: record[name] for name in RULES}
    assert verdicts == {"lipinski": True, "veber": True, "ghose": True, "lead_like": False, "rule_of_three": True}
    assert "BRENK: phenol_ester" in record["alerts"].split("; ")
    assert (record["scaffold"], record["ring_systems"]) == ("c1ccccc1", "c1ccccc1")
    assert len(record["fingerprint"]) == 256


@pytest.mark.parametrize(
    ("text", "reason"), [("nonsense", "unparsable"), ("", "empty"), ("CC.O", "several fragments"), ("[CH3]", "radical")]
)
def test_what_is_no_molecule_has_a_reason_and_no_values(text, reason):
    record = assess_one(row(text))
    assert (record["valid"], record["reason"], record["smiles"], record["alerts"]) == (False, reason, "", "")
    assert all(math.isnan(record[name]) for name in NUMBERS)
    assert all(record[name] is None for name in RULES)


@pytest.mark.parametrize(
    "text",
    ["CC.O", "[CH3].CC", "[H+].CC", "[Na+].[Cl-]", "[H][H]", "C*", "[He]", "C(", "", "CC O", "C[N+](C)(C)C", "[2H]C"],
)
def test_what_is_valid_and_why_not_is_said_as_everywhere_else(text):
    record, verdict = assess_one(row(text)), judge_one(text)
    assert (record["valid"], record["reason"]) == (verdict.valid, verdict.reason)
    assert record["smiles"] == (verdict.smiles if verdict.valid else "")


def test_every_row_is_there_in_order_and_one_that_kills_rdkit_costs_itself():
    rows = [row("CCO", "a", 1), row("bad", "b", 2), row("C" * 20_000, "c", 5), row(ASPIRIN, "d", 6)]
    frame = pd.concat(assess(rows, workers=1), ignore_index=True)
    assert frame["row"].tolist() == [1, 2, 5, 6]
    assert frame["name"].tolist() == ["a", "b", "c", "d"]
    assert frame["valid"].tolist() == [True, False, False, True]
