"""molgen optimize: what it prints, and that a mistake leaves nothing behind."""

import json

import pytest
from click.testing import CliRunner

from molgen.cli import cli
from molgen.errors import InputError

OBJECTIVE = '[[component]]\nproperty = "qed"\n'
SMALL = ["--model", "qm9-digress", "--budget", "8", "--batch", "4", "--steps", "2", "--seed", "1"]


def invoke(folder, *options: str, text: str = OBJECTIVE):
    (folder / "objective.toml").write_text(text, encoding="utf-8")
    arguments = ["optimize", str(folder / "objective.toml"), "--output", str(folder / "run"), *SMALL, *options]
    return CliRunner().invoke(cli, arguments)


def test_what_is_printed(tmp_path, monkeypatch):
    monkeypatch.setenv("MOLGEN_CACHE", str(tmp_path / "cache"))
    done = invoke(tmp_path)
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "run" / "record.json").read_text(encoding="utf-8"))
    assert "asked     8 molecules, 0 without a score" in done.output
    assert f"best 10   {record['best_10']:.4f}" in done.output
    assert "Wrote" in done.output and "seed 1" in done.output
    assert record["model"] == "qm9-digress" and record["steps"] == 2


@pytest.mark.parametrize(
    ("options", "text", "message"),
    [
        ([], "[[component]]\n", "component 1: it should have one of property"),
        (["--budget", "0"], OBJECTIVE, "budget should be 1 to"),
        (["--model", "PLAIN", "--core", "CO"], OBJECTIVE, "was not trained to keep a core"),
        (["--sampler", "none"], OBJECTIVE, "has no sampler 'none'"),
    ],
)
def test_mistakes_leave_nothing(tmp_path, plain_model, options, text, message):
    done = invoke(tmp_path, *(option.replace("PLAIN", str(plain_model)) for option in options), text=text)
    assert isinstance(done.exception, InputError) and message in str(done.exception)
    assert not (tmp_path / "run").exists()
