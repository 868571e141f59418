"""`molgen generate` and `molgen models` as a user calls them, on a small untrained model."""

import io
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from molgen.cli import cli
from molgen.data.dataset import Statistics
from molgen.errors import InputError
from molgen.models.checkpoints import save_checkpoint
from molgen.models.digress.model import DiGress, DiGressConfig
from molgen.molecules.hashing import smiles_hashes
from molgen.molecules.vocabulary import AtomClass, Vocabulary


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    """A checkpoint folder of a model whose molecules have one to three atoms, so that many are valid."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    vocabulary = Vocabulary((AtomClass("C", 0), AtomClass("O", 0)))
    statistics = Statistics((0, 1, 2, 1), (0.6, 0.4), (0.1, 0.8, 0.1, 0.0))
    torch.manual_seed(0)
    backend = DiGress(DiGressConfig(layers=1, width=16, pair_width=8, heads=2, triangles=4), vocabulary, statistics)
    save_checkpoint(
        folder,
        backend_name="digress",
        backend=backend,
        weights=backend.state_dict(),
        vocabulary=vocabulary,
        statistics=statistics,
        known=np.sort(smiles_hashes(["C", "CO"])),
        card={
            "name": "tiny",
            "backend": "digress",
            "data": {"set": "two molecules"},
            "parameters": 1234,
            "figures": {"valid": "71 %", "fcd": 3.5},
        },
    )
    return str(folder)


def molgen(*arguments: str):
    return subprocess.run(
        [sys.executable, "-c", "from molgen.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def call(*arguments: str):
    """In this process; errors are raised, since main() is what turns them into exit codes."""
    return CliRunner().invoke(cli, arguments, catch_exceptions=False)


def test_a_file_a_record_and_a_table(model, tmp_path):
    path = tmp_path / "m.csv"
    done = molgen("generate", "--model", model, "--num", "60", "--seed", "0", "--steps", "5", "--output", str(path))
    assert done.returncode == 0, done.stderr
    rows = pd.read_csv(path, keep_default_na=False)
    record = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
    counts = record["counts"]
    expected = "smiles,mw,logp,tpsa,hbd,hba,rotatable_bonds,rings,qed,sa,novel,sample"
    assert ",".join(rows.columns) == expected
    assert len(rows) == counts["valid"] > 0
    assert (record["seed"], record["steps"], record["model"], record["output"]) == (0, 5, "tiny", "m.csv")
    table = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line}
    for name in ("requested", "sanitised", "valid", "unique", "novel"):
        assert table[name][1] == str(counts[name])
    assert table["valid"][2:4] == [f"{counts['valid'] / 60:.1%}", "of"]
    assert "60/60" in done.stderr and "Traceback" not in done.stderr


def test_standard_output_is_the_table_of_molecules_alone(model, tmp_path):
    arguments = ("generate", "--model", model, "--num", "30", "--seed", "3", "--steps", "2", "--likelihood")
    piped = molgen(*arguments, "--output", "-")
    assert piped.returncode == 0, piped.stderr
    call(*arguments, "--output", str(tmp_path / "m.csv"))
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(piped.stdout)), pd.read_csv(tmp_path / "m.csv"))
    assert "nll_se" in piped.stdout and "requested" in piped.stderr


def test_a_closed_pipe_is_no_error(model):
    program = subprocess.Popen(
        [sys.executable, "-c", "from molgen.cli import main; main()", "generate", "--model", model, "--output", "-"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert program.stdout is not None and program.stderr is not None
    program.stdout.close()
    errors = program.stderr.read().decode()
    assert program.wait() == 0
    assert "Error" not in errors and "Traceback" not in errors


def test_too_few_distinct_molecules_are_told(model, tmp_path):
    done = call(
        *("generate", "--model", model, "--unique", "100", "--max-samples", "150", "--steps", "2", "--seed", "1"),
        *("--output", str(tmp_path / "m.smi")),
    )
    lines = (tmp_path / "m.smi").read_text(encoding="utf-8").splitlines()
    assert 0 < len(lines) < 100
    assert f"Warning: {len(lines)} of the 100 distinct molecules" in done.stderr


def test_a_run_without_a_molecule_says_why_and_is_no_success(model, tmp_path, monkeypatch, capfd):
    from molgen.cli import main
    from molgen.generation.sampling import GraphDecoder
    from molgen.molecules.encoding import Decoded

    monkeypatch.setattr(GraphDecoder, "decode_mol", lambda *_: (Decoded("C.C", "several fragments"), None))
    words = ["molgen", "generate", "--model", model, "--num", "5", "--steps", "2", "--output", str(tmp_path / "m.csv")]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 1
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("Error: none of 5 samples is a valid molecule (5 several fragments); try more samples")


@pytest.mark.parametrize("chosen", ["", "7"])
def test_little_is_kept_of_each_shape_unless_the_user_has_chosen(monkeypatch, chosen):
    from molgen.cli import main

    names = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
    for name in names:
        monkeypatch.setenv(name, chosen)  # the end of the test restores what is set below
        if not chosen:
            monkeypatch.delenv(name)
    monkeypatch.setattr("sys.argv", ["molgen", "train", "--help"])
    main()
    assert [os.environ.get(name, "") for name in names] == [chosen] * 2  # a training needs many, again and again
    monkeypatch.setattr("sys.argv", ["molgen", "--version"])
    main()
    assert [os.environ[name] for name in names] == [chosen or "64"] * 2


@pytest.mark.parametrize("chosen", [{}, {"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "active"}])
def test_threads_wait_without_spinning_unless_the_user_has_chosen(monkeypatch, chosen):
    from molgen.cli import main

    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # so that the end of the test restores what is set below
        monkeypatch.delenv(name)
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["molgen", "--version"])
    main()
    assert {name: os.environ[name] for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY") if name in os.environ} == (
        chosen or {"GOMP_SPINCOUNT": "3000"}
    )


def test_an_output_in_the_way_is_told_with_the_option_that_replaces_it(model, tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("mine", encoding="utf-8")
    done = molgen("generate", "--model", model, "--num", "2", "--output", str(path))
    assert done.returncode == 2 and path.read_text(encoding="utf-8") == "mine"
    assert done.stderr.strip().endswith("choose another name, or allow it to be replaced (--overwrite)")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--num", "0"), "--num should be at least 1, got 0"),
        (("--num", "-1"), "--num should be at least 1, got -1"),
        (("--num", "many"), "many"),
        (("--unique", "0"), "--unique should be at least 1"),
        (("--num", "5", "--unique", "5"), "not both"),
        (("--max-samples", "5"), "--unique"),
        (("--model", "nothing-here"), "nothing-here"),
        (("--sampler", "magic"), "ancestral"),
        (("--steps", "501"), "at most 500 steps"),
        (("--steps", "0"), "--steps should be at least 1"),
        (("--seed", "-3"), "-3"),
        (("--workers", "0"), "workers should be at least 1"),
        (("--workers", "100000"), "got 100000"),
        (("--output", "m.xlsx"), ".parquet"),
        (("--output", "no/such/folder.csv"), "does not exist"),
    ],
)
def test_bad_options_are_one_line_and_exit_code_2(model, tmp_path, monkeypatch, capfd, arguments, message):
    from molgen.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["molgen", "generate", "--model", model, *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    output, errors = capfd.readouterr()
    assert stop.value.code == 2
    assert output == "" and message in errors and errors.strip().splitlines()[-1].startswith("Error: ")
    assert not list(tmp_path.iterdir())


def test_options_may_come_from_a_file(model, tmp_path):
    lines = [f"model = {json.dumps(model)}", "num = 20", "seed = 3", "steps = 5", f'output = "{tmp_path / "m.csv"}"']
    (tmp_path / "run.toml").write_text("\n".join([*lines, "workers = 1", "overwrite = true"]), encoding="utf-8")
    call("generate", "--config", str(tmp_path / "run.toml"), "--num", "10")
    record = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
    assert (record["counts"]["requested"], record["seed"], record["steps"]) == (10, 3, 5)
    (tmp_path / "run.toml").write_text("step = 5\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"run\.toml: unknown setting 'step'; it takes 3d, address, atoms, core, "):
        call("generate", "--config", str(tmp_path / "run.toml"))


def test_models_lists_figures_and_shows_a_card(model, monkeypatch):
    from pathlib import Path

    monkeypatch.setattr("molgen.models.checkpoints.list_models", lambda: {"tiny": Path(model)})
    header, row = call("models").stdout.splitlines()
    assert header.split() == ["name", "data", "backend", "parameters", "valid", "unique", "FCD"]
    assert row.split("  ")[0] == "tiny"
    for cell in ("two molecules", "digress", "1,234", "71 %", "-", "3.5"):
        assert cell in row
    assert row.index("71 %") == header.index("valid") and row.index("3.5") == header.index("FCD")
    card = call("models", "tiny").stdout
    assert card.startswith("# tiny") and "two molecules" in card


def test_models_of_an_unknown_name_is_an_error():
    done = molgen("models", "nothing-here")
    assert done.returncode == 2 and "nothing-here" in done.stderr and "Traceback" not in done.stderr
