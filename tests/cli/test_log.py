"""The log for programs."""

import json

import pytest
from click.testing import CliRunner

from molgen.cli import cli
from molgen.errors import InputError

LINES = "CCO\nc1ccccc1\nC(\nCC\n"


def events(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def call(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)


def test_a_log_has_what_is_said_how_far_it_is_and_the_end(tmp_path):
    (tmp_path / "m.smi").write_text(LINES, encoding="utf-8")
    for again in (1, 2):  # a second run is appended
        done = call("score", tmp_path / "m.smi", "--log", tmp_path / "log.jsonl")
        lines = events(tmp_path / "log.jsonl")
        assert [line["event"] for line in lines].count("start") == again
    assert lines[0]["event"] == "start" and lines[0]["command"] == "score" and lines[-1]["event"] == "end"
    assert lines[-1]["seconds"] >= 0 and [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    said = [line["text"] for line in lines if line["event"] == "message" and line["stream"] == "stdout"]
    assert said[0] + "\n" == done.stdout
    reached = [(line["done"], line["total"]) for line in lines if line["event"] == "progress"]
    assert (4, 4) in reached


def test_an_error_is_in_the_log(tmp_path):
    with pytest.raises(InputError):
        call("score", tmp_path / "none.smi", "--log", tmp_path / "log.jsonl")
    kinds = [line["event"] for line in events(tmp_path / "log.jsonl")]
    assert kinds == ["start", "error", "end"]
    assert "none.smi" in events(tmp_path / "log.jsonl")[1]["text"]


def test_a_log_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        call("score", tmp_path / "m.smi", "--log", tmp_path)
