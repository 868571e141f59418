"""The user's own scorers: programs and functions that crash, hang, babble or answer badly cost molecules, no run."""

import math
import sys
from pathlib import Path

import pytest

from molgen.errors import InputError, MolgenError
from molgen.optimisation.objective import parse_objective
from molgen.optimisation.scorers import Place
from tests.optimisation.trees import model

CARBONS = ["C" * count for count in range(1, 13)]
NAN = float("nan")
# writes down what it is asked, then answers with the length of the SMILES, except of some
PROGRAM = """
import os, sys, time
smiles = sys.stdin.read().split()
with open("calls.log", "a") as log:
    log.write(" ".join(smiles) + "\\n")
for text in smiles:
    {special}
    print(len(text))
"""
FUNCTION = """
import os, time
def affinity(smiles):
    print("noise on standard output")
    {special}
    return [float(len(text)) for text in smiles]
"""


def answers(folder: Path, toml: str, smiles: list[str] = CARBONS) -> list[float]:
    """The values of the only component for some molecules, in their order."""
    objective = parse_objective(
        f"[[component]]\n{toml}\nsigmoid = {{zero = 0, one = 9}}", "o.toml", Place(model(), folder)
    )
    try:
        (component,) = objective.components
        found = {}
        for part in component.scorer.answers(smiles):
            assert not found.keys() & set(part.smiles)  # each once
            found |= dict(zip(part.smiles, part.values, strict=True))
    finally:
        objective.close()
    return [found[text] for text in smiles]


def program(folder: Path, special: str = "pass", more: str = "") -> list[float]:
    (folder / "score.py").write_text(PROGRAM.format(special=special), encoding="utf-8")
    return answers(folder, f'program = ["{sys.executable}", "score.py"]\n{more}')


def function(folder: Path, special: str = "pass", more: str = "") -> list[float]:
    (folder / "mine.py").write_text(FUNCTION.format(special=special), encoding="utf-8")
    return answers(folder, f'function = "mine:affinity"\n{more}')


LENGTHS = [float(len(text)) for text in CARBONS]


def but(*lost: int) -> list[float]:
    return [NAN if length in lost else length for length in LENGTHS]


def same(found: list[float], expected: list[float]) -> bool:
    return [str(value) for value in found] == [str(value) for value in expected]


def test_a_program_is_asked_in_batches(tmp_path):
    assert program(tmp_path, more="batch = 5") == LENGTHS
    calls = [line.split() for line in (tmp_path / "calls.log").read_text(encoding="utf-8").splitlines()]
    assert calls == [CARBONS[:5], CARBONS[5:10], CARBONS[10:]]


@pytest.mark.parametrize(
    "special",
    [
        "if len(text) == 7: sys.exit(3)",
        "if len(text) == 7: os.kill(os.getpid(), 9)",
        "if len(text) == 7: continue",  # a line too few: which is whose cannot be told
        "if len(text) == 7: print('Warning: odd molecule')",  # a line too many
    ],
)
def test_a_failure_of_a_program_costs_its_molecule(tmp_path, special):
    assert same(program(tmp_path, special), but(7))


def test_blank_lines_at_the_end_cost_nothing(tmp_path):
    assert program(tmp_path, "if len(text) == 7: print(7.0, end='\\n\\n'); continue", more="batch = 1") == LENGTHS


def test_what_is_no_number_is_missing(tmp_path):
    special = "if len(text) in (2, 3, 4): print({2: 'nan', 3: 'inf', 4: 'failed'}[len(text)]); continue"
    assert same(program(tmp_path, special), but(2, 3, 4))


def test_a_program_that_hangs_costs_its_molecule(tmp_path):
    assert same(program(tmp_path, "if len(text) == 7: time.sleep(60)", "time_limit = 0.5\nbatch = 6"), but(7))


def test_a_program_that_gives_nothing_stops_the_run(tmp_path):
    with pytest.raises(MolgenError, match=r"none of the first 20 molecules got a number.*exit code 1: no licence"):
        (tmp_path / "score.py").write_text("import sys\nsys.exit('no licence')", encoding="utf-8")
        answers(tmp_path, f'program = ["{sys.executable}", "score.py"]', [*CARBONS, *(f"{text}O" for text in CARBONS)])


def test_a_function_is_called_with_lists(tmp_path, capfd):
    assert function(tmp_path) == LENGTHS
    assert "noise" not in capfd.readouterr().out


@pytest.mark.parametrize(
    "special",
    [
        "if 'C' * 7 in smiles: os._exit(1)",
        "if 'C' * 7 in smiles: raise ValueError('odd')",
        "if 'C' * 7 in smiles: return range(99)",
    ],
)
def test_a_failure_of_a_function_costs_its_molecule(tmp_path, special):
    assert same(function(tmp_path, special, "batch = 6"), but(7))


def test_a_function_that_hangs_costs_its_molecule(tmp_path):
    assert same(function(tmp_path, "if 'C' * 7 in smiles: time.sleep(60)", "batch = 3\ntime_limit = 0.6"), but(7))


def test_a_file_with_the_name_of_another_module_is_told(tmp_path):
    (tmp_path / "types.py").write_text("def mean(smiles):\n    return [1.0] * len(smiles)\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"another module is called types; give types\.py another name"):
        answers(tmp_path, 'function = "types:mean"')


def test_values_of_a_function_that_are_none(tmp_path):
    special = "return [None if len(text) == 1 else 'x' if len(text) == 2 else 1.5 for text in smiles]"
    found = function(tmp_path, special)
    assert math.isnan(found[0]) and math.isnan(found[1]) and found[2:] == [1.5] * 10


def test_onnx_without_onnxruntime_or_a_model_is_told(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(InputError, match=r"needs onnxruntime|is not a model in ONNX"):
        answers(tmp_path, 'onnx = "model.onnx"')


# trees of scikit-learn, fitted to the heavy atoms of a few molecules and to whether they are aromatic, by skl2onnx
KNOWN = {"CCO": 3.0, "c1ccccc1": 6.0, "Cc1ccccc1": 7.0, "CC(=O)O": 4.0}


def test_models_in_onnx():
    pytest.importorskip("onnxruntime")
    folder = Path(__file__).parent / "onnx"
    assert answers(folder, 'onnx = "heavy-atoms.onnx"', list(KNOWN)) == list(KNOWN.values())
    assert answers(folder, 'onnx = "aromatic.onnx"', list(KNOWN)) == [0, 1, 1, 0]
    for name, message in (("aromatic-maps", "export it with the option zipmap=False"), ("sixteen-inputs", "2048")):
        with pytest.raises(InputError, match=message):
            answers(folder, f'onnx = "{name}.onnx"', list(KNOWN))
