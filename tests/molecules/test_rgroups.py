import pytest

from molgen.errors import InputError
from molgen.molecules.rgroups import bare_core, r_groups


def test_groups_hang_where_the_core_is_numbered():
    found = r_groups(["Cc1ccccc1", "CCO", "Oc1ccccc1"], "c1ccc([*:1])cc1")
    assert found.table["R1"].tolist() == ["C[*:1]", "O[*:1]"] and found.table.index.tolist() == [0, 2]
    assert set(found.table["core"]) == {"c1ccc([*:1])cc1"}
    assert found.without == [1] and found.closing == []


def test_places_without_a_number_get_one_and_hydrogens_alone_get_no_column():
    found = r_groups(["CCN1CCCC1", "CN1CCCC1", "CN1CCCC1=O"], "C1CCN([*:1])C1").table
    assert found.columns.tolist() == ["core", "R1", "R2"]
    assert found["R1"].tolist() == ["CC[*:1]", "C[*:1]", "C[*:1]"]
    assert found["R2"].tolist() == ["[H][*:2]", "[H][*:2]", "O=[*:2]"]


def test_a_group_that_closes_a_ring_on_the_core_fits_no_column():
    found = r_groups(["c1ccc2ncccc2c1", "Cc1ccncc1", "Oc1ccncc1"], "c1ccncc1")
    assert found.closing == [0] and found.without == []
    assert found.table["R1"].tolist() == ["C[*:1]", "O[*:1]"] and found.table.index.tolist() == [1, 2]


def test_no_molecule_has_the_core():
    assert r_groups(["CCO", "CC"], "c1ccccc1").table.empty
    assert r_groups(["CCO", "CC"], "c1ccccc1").without == [0, 1]
    assert r_groups([], "c1ccccc1").without == []


def test_a_core_is_told_without_its_attachment_points():
    assert bare_core("c1ccc([*:1])cc1") == bare_core("*c1ccccc1") == "c1ccccc1"
    assert bare_core("C1CCN([*:1])C1") == "C1CCNC1"
    assert bare_core("[*:1]n1cccc1") == "c1cc[nH]c1"


@pytest.mark.parametrize(
    ("core", "why"),
    [
        ("C(", "unparsable"),
        ("", "empty"),
        ("CC", "2 heavy atoms"),
        ("*", "hang on one atom"),
        ("CC*CC", "hang on one atom"),
        ("C1CC1.c1ccccc1", "several pieces"),
    ],
)
def test_a_core_that_cannot_be_used_says_why(core: str, why: str):
    with pytest.raises(InputError, match=why):
        r_groups(["Cc1ccccc1"], core)
