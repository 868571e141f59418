"""Effort in words: what cards say, what is taken where they say nothing, and what strangers' cards cannot do."""

import dataclasses

import pytest

from molgen.errors import InputError
from molgen.generation.settings import make_settings
from molgen.models.checkpoints import list_models, load_checkpoint
from molgen.models.effort import EFFORTS, Effort, efforts, steps_of

MEASURED = ("qm9-digress", "qm9-edge", "qm9-edpgnn", "qm9-nvdiff", "moses-digress", "moses-edge", "chembl-digress")


@pytest.fixture(scope="module")
def model():
    return load_checkpoint("qm9-digress")


def test_shipped_models_say_what_each_effort_brings():
    assert set(MEASURED) <= set(list_models())
    for name in MEASURED:
        found = efforts(load_checkpoint(name))
        assert list(found) == list(EFFORTS)
        assert all("valid" in one.measured and "FCD" in one.measured for one in found.values())
        steps = [one.steps for one in found.values()]
        assert steps == sorted(set(steps))


def test_without_figures_it_is_a_multiple_of_the_usual_number(model):
    plain = dataclasses.replace(model, card={"name": "mine"})
    assert efforts(plain) == {"fast": Effort(20, ""), "balanced": Effort(50, ""), "best": Effort(100, "")}


@pytest.mark.parametrize("steps", [0, -1, 10**9, "50", True, 2.5, None, [20]])
def test_a_card_that_cannot_be_right_is_passed_over(model, steps):
    strange = dataclasses.replace(model, card={"effort": {"fast": {"steps": steps, "valid": "100 %"}, "best": 3}})
    assert efforts(strange)["fast"] == Effort(20, "")
    assert efforts(dataclasses.replace(model, card={"effort": "much"}))["best"] == Effort(100, "")


def test_settings_take_the_steps_of_an_effort(model):
    assert make_settings(model, num=5, effort="best") == make_settings(model, num=5, steps=steps_of(model, "best"))
    with pytest.raises(InputError, match="either a number of steps or an effort"):
        make_settings(model, num=5, effort="fast", steps=20)
    with pytest.raises(InputError, match="fast, balanced, best, got 'great'"):
        make_settings(model, num=5, effort="great")
