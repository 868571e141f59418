"""`molgen generate --core` and `--target` as a user gives them, with a small model trained on a few molecules."""

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

from molgen.cli import cli
from molgen.errors import InputError
from molgen.generation.cores import parse_core
from molgen.generation.given import smiles_of
from tests.conftest import TINY
from tests.data.small_set import SMILES


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wanted")
    (folder / "molecules.smi").write_text("\n".join(SMILES) + "\n", encoding="utf-8")
    sizes = [f"--{name.replace('_', '-')}={value}" for name, value in TINY["digress"].items()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOLGEN_CACHE", str(folder / "cache"))
        where = ["--data", str(folder / "molecules.smi"), "--output", str(folder / "run"), "--samples", "0"]
        CliRunner().invoke(cli, ["train", *where, *sizes, "--epochs", "60"], catch_exceptions=False)
    return folder / "run" / "model"


def generate(model: Path, *arguments: str):
    command = ["generate", "--model", str(model), "--seed", "3", "--workers", "1", *arguments]
    return CliRunner().invoke(cli, command, catch_exceptions=False, standalone_mode=False)


def test_every_molecule_contains_the_core(model, tmp_path):
    output = tmp_path / "grown.csv"
    done = generate(model, "--core", "CC", "--num", "40", "--steps", "20", "--output", str(output))
    assert done.exit_code == 0
    drawn = pd.read_csv(output)
    assert len(drawn)
    core = Chem.MolFromSmarts("CC")
    assert all(Chem.MolFromSmiles(smiles).HasSubstructMatch(core) for smiles in drawn["smiles"])
    assert all(Chem.MolFromSmiles(smiles).GetNumAtoms() > 2 for smiles in drawn["smiles"])
    assert json.loads(output.with_suffix(".json").read_text())["core"] == "CC"


def test_targets_are_told_with_what_was_obtained(model, tmp_path):
    output = tmp_path / "told.csv"
    asked = ("--target", "logp=0.5", "--target", "hydrogens=6", "--guidance", "1")
    done = generate(model, *asked, "--num", "30", "--steps", "10", "--output", str(output))
    drawn, record = pd.read_csv(output), json.loads(output.with_suffix(".json").read_text())
    hydrogens = [sum(atom.GetTotalNumHs() for atom in Chem.MolFromSmiles(text).GetAtoms()) for text in drawn["smiles"]]
    assert drawn["hydrogens"].tolist() == hydrogens
    assert record["targets"] == ["logp=0.5", "hydrogens=6"] and record["guidance"] == 1
    assert record["obtained"]["hydrogens"]["mean"] == pytest.approx(sum(hydrogens) / len(hydrogens), abs=1e-3)
    assert record["obtained"]["logp"]["error"] == pytest.approx((drawn["logp"] - 0.5).abs().mean(), abs=1e-3)
    assert "hydrogens: 6 asked for, " in done.output


def test_core_formula_size_and_range_go_together(model, tmp_path):
    output = tmp_path / "isomers.csv"
    asked = ("--core", "CO", "--formula", "C4H10O", "--size", "5", "--target", "logp=:1.5")
    generate(model, *asked, "--num", "60", "--steps", "20", "--output", str(output))
    drawn, record = pd.read_csv(output), json.loads(output.with_suffix(".json").read_text())
    assert len(drawn) and record["counts"]["requested"] == 60
    for mol in map(Chem.MolFromSmiles, drawn["smiles"]):
        assert rdMolDescriptors.CalcMolFormula(mol) == "C4H10O"
        assert mol.HasSubstructMatch(Chem.MolFromSmarts("CO"))
    assert record["size"] == "5" and record["targets"] == ["logp=:1.5"]
    obtained = record["obtained"]["logp"]
    assert obtained["asked"] == ":1.5" and obtained["inside"] == pytest.approx((drawn["logp"] <= 1.5).mean(), abs=1e-4)


def test_molecules_have_the_size_asked_for(model, tmp_path):
    output = tmp_path / "sized.csv"
    generate(model, "--size", "4:5", "--num", "30", "--steps", "10", "--output", str(output))
    sizes = {Chem.MolFromSmiles(smiles).GetNumAtoms() for smiles in pd.read_csv(output)["smiles"]}
    assert sizes and sizes <= {4, 5}


def test_a_filter_is_told_as_one(model, tmp_path):
    profile, output = tmp_path / "small.toml", tmp_path / "kept.csv"
    profile.write_text("[ranges]\nmw = [0, 70]\n", encoding="utf-8")
    asked = ("--profile", str(profile), "--known-rings", "--unique", "5", "--steps", "10")
    done = generate(model, *asked, "--output", str(output))
    drawn, record = pd.read_csv(output), json.loads(output.with_suffix(".json").read_text())
    assert len(drawn) == record["rows"] == 5 and (drawn["mw"] <= 70).all() and drawn["smiles"].is_unique
    rules = record["filter"]
    assert [line["rule"] for line in rules] == ["mw 0 to 70", "ring systems of training molecules alone"]
    assert record["counts"]["unique"] >= rules[0]["left"] >= rules[1]["left"] == 5
    assert f"filter: 5 of {record['counts']['unique']} unique left" in done.output
    assert record["profile"] == "small" and record["profile_toml"] == profile.read_text()


def test_a_filter_that_lets_nothing_through_is_no_success(model, tmp_path):
    profile, output = tmp_path / "none.toml", tmp_path / "none.csv"
    profile.write_text("[ranges]\nmw = [0, 1]\n", encoding="utf-8")
    done = generate(model, "--profile", str(profile), "--num", "5", "--steps", "5", "--output", str(output))
    assert done.exit_code == 1 and "distinct molecules passes the filter" in done.stderr
    with pytest.raises(InputError, match="no profile 'best'; choose from"):
        generate(model, "--profile", "best", "--num", "5", "--output", str(tmp_path / "never.csv"))


def test_analogues_are_similar_and_keep_the_core(model, tmp_path):
    output = tmp_path / "near.csv"
    asked = ("--like", "CCCCO", "--core", "CO", "--similarity", "0.2:0.9", "--num", "40", "--steps", "20")
    done = generate(model, *asked, "--output", str(output))
    drawn, record = pd.read_csv(output), json.loads(output.with_suffix(".json").read_text())
    assert len(drawn) and drawn["similarity"].between(0.2, 0.9).all() and "CCCCO" not in set(drawn["smiles"])
    mols = [Chem.MolFromSmiles(smiles) for smiles in drawn["smiles"]]
    assert all(mol.GetNumAtoms() == 5 and mol.HasSubstructMatch(Chem.MolFromSmarts("CO")) for mol in mols)
    assert record["like"] == "CCCCO" and record["similarity"] == "0.2:0.9" and 0 < record["noise"] <= 1
    assert "not the molecule itself" in done.output


def test_molecules_are_given_as_files_too(model, tmp_path):
    inputs = tmp_path / "in"
    inputs.mkdir()
    marked = Chem.MolFromSmiles("CC[*:1]")  # a block that writes R#, as sketchers do
    (inputs / "core.mol").write_text(Chem.MolToMolBlock(marked), encoding="utf-8")
    (inputs / "lead.smi").write_text("CCCCO.Cl hydrochloride\n", encoding="utf-8")
    (inputs / "two.smi").write_text("CCCCO\nCCCO\n", encoding="utf-8")
    (inputs / "bad.mol").write_text("no\nmol\nblock\n", encoding="utf-8")
    output = tmp_path / "near.csv"
    asked = ("--like", str(inputs / "lead.smi"), "--standardise", "--core", str(inputs / "core.mol"))
    generate(model, *asked, "--similarity", "0.1:0.9", "--num", "40", "--steps", "20", "--output", str(output))
    drawn, record = pd.read_csv(output), json.loads(output.with_suffix(".json").read_text())
    mols = [Chem.MolFromSmiles(smiles) for smiles in drawn["smiles"]]
    assert len(mols) and all(mol.GetNumAtoms() == 5 for mol in mols)
    assert all(mol.HasSubstructMatch(Chem.MolFromSmarts("[CH3]C")) for mol in mols)
    assert record["like"] == "CCCCO" and Chem.CanonSmiles(record["core"]) == Chem.CanonSmiles("CC[*:1]")
    for arguments, message in (
        (("--like", str(inputs / "lead.smi")), "several fragments; a salt can be standardised"),
        (("--like", str(inputs / "two.smi")), "two.smi has more than one molecule; --like takes one"),
        (("--core", str(inputs / "bad.mol")), "the molecule of .*bad.mol cannot be used: unparsable"),
        (("--core", str(inputs / "none.sdf")), "no such file: .*none.sdf"),
    ):
        with pytest.raises(InputError, match=message):
            generate(model, *arguments, "--num", "5", "--output", str(tmp_path / "never.csv"))


BLOCK = """
  a sketch

  2  1  0  0  0  0            999 V2000
    0.0000    0.0000    0.0000 C   0  0
    1.2990    0.7500    0.0000 {symbol:3} 0  0
  1  2  1  0
{more}M  END
"""


@pytest.mark.parametrize(
    ("symbol", "more", "core"),
    [
        ("R#", "M  RGP  1   2   1\n", "C[*:1]"),
        ("R1", "", "C[*:1]"),
        ("*", "", "C[*:1]"),
        ("N", "M  APO  1   2   1\n", "CN[*:1]"),
        ("N", "", "CN"),
        ("Q", "", None),
        ("L", "M  ALS   2  2 F N   O   \n", None),
    ],
)
def test_attachment_points_of_a_block_are_those_of_the_core(vocabulary, tmp_path, symbol, more, core):
    path = tmp_path / "core.MOL"
    path.write_text(BLOCK.format(symbol=symbol, more=more), encoding="utf-8")
    if core is None:
        with pytest.raises(InputError, match="query atoms or bonds, such as A, Q, X or lists; --core takes a molecule"):
            smiles_of("--core", str(path))
        return
    found, wanted = (parse_core(text, vocabulary) for text in (smiles_of("--core", str(path)), core))
    assert sorted(zip(found.nodes, found.closed, strict=True)) == sorted(zip(wanted.nodes, wanted.closed, strict=True))


def test_what_is_no_file_is_smiles(tmp_path):
    assert smiles_of("--core", "c1ccccc1.CC") == "c1ccccc1.CC" and smiles_of("--core", None) is None
    (tmp_path / "lead.xyz").write_text("3\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"cannot tell the format of .*lead\.xyz"):
        smiles_of("--like", str(tmp_path / "lead.xyz"))


def test_a_value_outside_the_training_set_is_told_before(model):
    done = generate(model, "--target", "mw=900", "--num", "1", "--steps", "1", "--output", "-")
    assert "mw=900 is asked for, and 90 % of the training molecules have" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--core", "c1ccc"), "core 'c1ccc' cannot be used: unparsable"),
        (("--core", f"C1{'C' * 58}C1"), "has 60 heavy atoms, to which the model can add up to 0"),  # a single ring
        (("--core", "C" * 200, "--target", "mw=300"), "has 200 heavy atoms, and the model makes molecules of up to"),
        (("--core", "CCN", "--formula", "C4H10O"), "formula C4H10O lacks atoms of the core CCN: 1 N"),
        (("--core", "CCO", "--formula", "C2H6O"), "formula C2H6O has no atom beyond those of the core CCO"),
        (("--formula", "C4H10O", "--size", "6:7"), "formula C4H10O has 5 heavy atoms, and size 6:7 is asked for"),
        (("--like", "CCCCO", "--size", "7"), "analogues have as many heavy atoms as their lead, 5; leave out size 7"),
        (("--like", "CCCCO", "--formula", "C4H10O"), "either for analogues of a molecule or for a formula"),
        (("--like", "CCCCO", "--core", "CCN"), "the molecule CCCCO does not contain the core CCN"),
        (("--like", f"C1{'C' * 58}C1"), "has 60 heavy atoms and no part that the model"),
        (("--like", "CCCCO", "--similarity", "0.9:0.1"), "similarity '0.9:0.1' should be two numbers from 0 to 1"),
        (("--like", "[Na+].[Cl-]", "--standardise"), r"'\[Na\+\].\[Cl-\]' cannot be used: no organic fragment"),
        (("--standardise",), "no molecule to be like that could be standardised"),
        (("--similarity", "0.5:0.8"), "a similarity goes with a molecule to be like, and none is given"),
        (("--size", "many"), "size 'many' should be a number of heavy atoms, such as 24, or a range, such as 20:27"),
        (("--size", "7:5"), "size '7:5' should be at least 1 and go upwards"),
        (("--size", "500"), "size 500 is asked for; the model makes molecules of"),
        (("--core", "CCCC", "--size", "4"), "the core CCCC has 4 heavy atoms; at most 4 are asked for"),
        (("--target", "logp=:"), "target 'logp=:' should be a property and a number"),
        (("--target", "logp=3:2"), "target 'logp=3:2': the range should go upwards"),
        (("--target", "logp"), "target 'logp' should be a property and a number"),
        (("--target", "5"), "target '5' should be a property and a number"),
        (("--target", "logp=much"), "target 'logp=much' should be a property and a number"),
        (("--target", "logp=nan"), "should be a finite number"),
        (("--target", "colour=3"), "unknown target 'colour'; this model knows mw, logp"),
        (("--guidance", "1"), "goes with targets"),
        (("--target", "logp=1", "--guidance", "-1"), "guidance should be 0 or more"),
        (("--target", "logp=1", "--target", "logp=3"), "target 'logp' is given more than once"),
        (("--formula", "C4H10O", "--target", "mw=80"), "formula C4H10O has mw=74.123, and mw=80 is asked for"),
        (("--core", "C." + "C" * 300), "cannot be used: more than 250 heavy atoms"),
        (("--like", "CCCCO", "--core", "CCCCO"), "is the whole molecule CCCCO: nothing is left to change"),
        (("--like", "CCCCO", "--similarity", ""), "similarity '' should be two numbers"),
    ],
)
def test_what_cannot_be_wanted_is_told_and_nothing_written(model, tmp_path, arguments, message):
    output = tmp_path / "never.csv"
    with pytest.raises(InputError, match=message):
        generate(model, *arguments, "--num", "5", "--output", str(output))
    assert list(tmp_path.iterdir()) == []


def test_guidance_goes_with_a_formula_whose_hydrogens_the_model_hears(tmp_path):
    wanted = ("--formula", "C4H8O2", "--guidance", "1", "--num", "8", "--steps", "5", "--seed", "3")
    for name, more in (("formula", ()), ("both", ("--target", "hydrogens=8"))):
        generate(Path("qm9-digress"), *wanted, *more, "--output", str(tmp_path / f"{name}.smi"))
    drawn = (tmp_path / "formula.smi").read_text(encoding="utf-8")
    assert drawn and drawn == (tmp_path / "both.smi").read_text(encoding="utf-8")


def test_a_model_that_was_told_nothing_says_so(tmp_path, plain_model):
    untold, edge = plain_model, Path("qm9-edge")
    for model, arguments, message in (
        (untold, ("--formula", "C4H8O2", "--guidance", "1"), "or with a formula where the model knows"),
        (untold, ("--core", "CC"), "not trained to keep a core"),
        (untold, ("--target", "logp=1"), "knows none"),
        (edge, ("--like", "CCO"), r"model qm9-edge \(edge\) makes no analogues; digress, edpgnn and nvdiff models do"),
    ):
        with pytest.raises(InputError, match=message):
            generate(model, *arguments, "--num", "5", "--output", str(tmp_path / "never.csv"))
