"""One alert under several names is told once."""

import pytest

from molgen.evaluation.alert_counts import AlertCounts, same_alerts


def counted(*texts: str) -> AlertCounts:
    counts = AlertCounts()
    counts.count(texts)
    return counts


@pytest.fixture
def mine() -> AlertCounts:
    aldehyde = "BRENK: aldehyde; CHEMBL: Filter38_aldehyde"
    rare = "PAINS: azo_A(324); CHEMBL: azo"
    return counted(*[aldehyde] * 6, f"{aldehyde}; NIH: ketone", "", *["NIH: ketone"] * 9, rare)


def test_names_of_the_same_molecules_stand_together(mine):
    found = same_alerts([mine], counted(*["NIH: other"] * 9))
    assert found == [
        ["NIH: ketone"],
        ["BRENK: aldehyde", "CHEMBL: Filter38_aldehyde"],
        ["CHEMBL: azo"],  # of one molecule each: chance may have put them there
        ["PAINS: azo_A(324)"],
    ]
    assert mine.counts["BRENK: aldehyde"] == 7 and mine.molecules == 18


def test_names_that_differ_in_another_set_or_in_the_reference_are_two(mine):
    one = counted("BRENK: aldehyde")
    apart = [["NIH: ketone"], ["BRENK: aldehyde"], ["CHEMBL: Filter38_aldehyde"]]
    assert same_alerts([mine], one)[:3] == apart
    assert same_alerts([mine, one], counted())[:3] == apart
    assert same_alerts([], mine) == []


def test_a_name_counts_once_in_a_molecule():
    assert counted("NIH: ketone; NIH: ketone").counts == {"NIH: ketone": 1}
