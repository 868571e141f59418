"""Nothing that comes from a file steers the terminal: run on a real pseudo-terminal, as a user would."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import molgen.cli
from molgen.cli.output import safe
from molgen.models.checkpoints import save_checkpoint
from molgen.models.registry import BACKENDS
from molgen.molecules.hashing import smiles_hashes
from tests.conftest import SMILES, TINY

pty = pytest.importorskip("pty", reason="needs pseudo-terminals")

# clears the screen, sets the title, turns the text red, goes back in the line, turns the direction of writing round
HOSTILE = "a\x1b[2Jb\x1b]0;title\x07c\x9b31md\re\u202ef"
SHOWN = r"a\x1b[2Jb\x1b]0;title\x07c\x9b31md\re\u202ef"
MOLGEN = (sys.executable, "-c", "from molgen.cli import main; main()")


def on_a_terminal(*arguments: str) -> tuple[int, bytes]:
    """The exit code of a command, and all that it sends to the terminal it runs on."""
    ours, its = pty.openpty()
    with subprocess.Popen([*MOLGEN, *arguments], stdin=its, stdout=its, stderr=its) as process:
        os.close(its)
        sent = b""
        try:
            while piece := os.read(ours, 65536):
                sent += piece
        except OSError:  # Linux says so when the other end is closed
            pass
        finally:
            os.close(ours)
    return process.returncode, sent


def harmless(sent: bytes) -> bool:
    text = sent.decode("utf-8").replace("\r\n", "\n")
    return not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)


@pytest.mark.parametrize(
    "command", [["score"], ["embed", "--output", "x.parquet"], ["models"], ["generate", "--model"]]
)
def test_a_hostile_name_of_a_file(command, tmp_path):
    code, sent = on_a_terminal(command[0], *command[1:], str(tmp_path / HOSTILE))
    assert code == 2
    assert SHOWN in sent.decode("utf-8")
    assert harmless(sent)


def test_a_hostile_option_in_an_error_of_click():
    code, sent = on_a_terminal("models", f"--{HOSTILE}")
    assert code == 2
    assert SHOWN in sent.decode("utf-8")
    assert harmless(sent)


def test_a_hostile_column(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text(f"{HOSTILE.replace(chr(13), '')} SMILES,x\nCCO,1\nCC,2\n", encoding="utf-8")
    code, sent = on_a_terminal("score", str(table), "--smiles-column", "none")
    assert code == 2
    assert r"a\x1b[2Jb" in sent.decode("utf-8")
    assert harmless(sent)


def test_a_hostile_model_card(dataset, vocabulary, tmp_path):
    torch.manual_seed(0)
    kind = BACKENDS["digress"]
    backend = kind(kind.Config(**TINY["digress"]), vocabulary, dataset.statistics())
    save_checkpoint(
        tmp_path / "tiny",
        backend_name="digress",
        backend=backend,
        weights=backend.state_dict(),
        vocabulary=vocabulary,
        statistics=dataset.statistics(),
        known=np.unique(smiles_hashes(SMILES)),
        card={"name": HOSTILE, "figures": {HOSTILE: HOSTILE}, HOSTILE: "limits"},
    )
    assert json.loads((tmp_path / "tiny" / "card.json").read_text(encoding="utf-8"))["name"] == HOSTILE
    code, sent = on_a_terminal("models", str(tmp_path / "tiny"))
    assert code == 0
    assert sent.decode("utf-8").count(SHOWN) == 3  # the heading is in other letters
    assert harmless(sent)


def test_what_is_shown_as_it_is():
    assert safe("Größe\tC₂H₆O 化学\n— 98.9 %") == "Größe\tC₂H₆O 化学\n— 98.9 %"
    assert safe(os.fsdecode(b"\xff.csv")) == r"\udcff.csv"
    assert safe(Path("a\x85\x7f")) == r"a\x85\x7f"


def test_all_that_commands_print_is_made_safe():
    for path in Path(molgen.cli.__file__).parent.glob("*.py"):
        if path.name != "output.py":
            assert not re.search(r"click\.s?echo\(|\bprint\(|desc=(?!safe)", path.read_text(encoding="utf-8")), path
