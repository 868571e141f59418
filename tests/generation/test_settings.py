"""Settings of a run: what is out of range is named."""

import dataclasses
import json
import re

import pytest

from molgen.errors import InputError
from tests.generation.small_run import settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num": 0}, "at least 1, got 0"),
        ({"num": -1}, "at least 1, got -1"),
        ({"num": 10**12}, "at most 100,000,000 samples"),
        ({"num": None, "unique": 0}, "unique should be at least 1"),
        ({"num": None}, "either"),
        ({"unique": 5}, "either"),
        ({"max_samples": 5}, "limit of samples"),
        ({"num": None, "unique": 5, "max_samples": 4}, "cannot come from at most 4"),
        ({"seed": -1}, "seed should be a whole number, 0 or more, got -1"),
        ({"seed": 1.5}, "seed should be a whole number, 0 or more, got 1.5"),
        ({"steps": 0}, "steps should be at least 1, got 0"),
        ({"steps": 51}, "at most 50 steps, got 51"),
        ({"sampler": "best"}, "'best'; choose from plain, other"),
        ({"device": "tpu"}, "tpu"),
    ],
)
def test_settings_out_of_range_are_named(changes, message):
    with pytest.raises(InputError, match=re.escape(message)):
        settings(**changes)


def test_a_run_of_before_there_were_drafts_is_resumed_with_a_single_one():
    now = dataclasses.replace(settings(), drafts=1)
    before = json.loads(json.dumps(dataclasses.asdict(now)))
    del before["drafts"]
    assert now.differences(before) == []
    assert dataclasses.replace(now, drafts=8).differences(before) == ["drafts (None then, 8 now)"]
