"""Objectives: what each component finds in known molecules, the means, and every mistake in the TOML."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest

from molgen.errors import InputError
from molgen.evaluation.admet import ENDPOINTS, predictor
from molgen.generation.typical import TypicalBounds
from molgen.optimisation.objective import load_objective, parse_objective
from molgen.optimisation.scorers import Place
from tests.optimisation.trees import model

NAN = float("nan")
MODEL = model()


def parsed(text: str, folder: Path = Path()):
    return parse_objective(text, "objective.toml", Place(MODEL, folder))


def values(text: str, *smiles: str) -> list[float]:
    """The values of the only component."""
    (component,) = parsed(f"[[component]]\n{text}").components
    return [value for part in component.scorer.answers(smiles) for value in part.values]


def test_the_components_of_known_molecules():
    assert values('property = "heavy_atoms"\nrange = {low = 1, high = 2}', "CCO", "C") == [3, 1]
    assert values('similar_to = "OCC"', "CCO", "c1ccccc1") == [1, 0]
    assert values('unlike = ["c1ccccc1", "OCC"]', "CCO") == [1]
    assert values('has = ["[OX2H]", "c1ccccc1"]', "CCO", "Oc1ccccc1", "CC") == [0.5, 1, 0]
    assert values('lacks = ["[OX2H]", "[NX3]"]', "CCO", "CC", "CN") == [0, 1, 0]
    assert values('alerts = ["BRENK"]', "CCO", "O=[N+]([O-])c1ccccc1")[0] == 0
    assert values('alerts = ["BRENK"]', "O=[N+]([O-])c1ccccc1")[0] >= 1
    assert values('unseen_rings = "model"', "c1ccccc1", "C1CC1c1ccccc1", "CC") == [0, 1, 0]
    assert values('novel = "model"', "CCO", "CCN") == [0, 1]


def test_the_likelihood_is_a_percentile_among_training_molecules(monkeypatch):
    bounds = np.arange(100) / 10 + 0.05
    monkeypatch.setattr(TypicalBounds, "of_size", lambda _, size: bounds if size > 2 else np.zeros(0))
    # the bound of this model is the sum of its node classes: C 0, N 1, O 2; it has no S, and no molecules of two atoms
    assert values("likelihood = true", "CCCO", "CCCC", "NCCO") == [20, 0, 30]
    assert all(map(math.isnan, values("likelihood = true", "CCS", "CC")))
    (component,) = parsed("[[component]]\nlikelihood = true").components
    assert component.curve(np.array([0, 80, 90, 100])).round(2).tolist() == [1, 0.99, 0.5, 0.01]


def test_what_optional_packages_say():
    assert values("buyable = true", "CC(=O)Oc1ccccc1C(=O)O", "CC1C2OC1(F)N2CC#CC1CC1Br") == [1, 0]
    smiles = ["C" * count for count in range(1, 70)]  # more than one batch
    found = values('admet = "hERG"\nsigmoid = {zero = 0.6, one = 0.1}', *smiles)
    expected = predictor().predict(smiles)[:, list(ENDPOINTS).index("hERG")]
    assert found == [round(value, 4) for value in expected] and max(found) > 0.4 > 0.1 > min(found)
    endpoints = ("hERG", "Half_Life_Obach")
    both = parsed("".join(f'[[component]]\nadmet = "{name}"\nrange = {{low = 0, high = 1}}\n' for name in endpoints))
    assert [each.name for each in both.components] == ["hERG", "Half_Life_Obach"]


@pytest.mark.parametrize(
    ("text", "module"), [('admet = "hERG"\ntarget = {value = 0, soft = 1}', "admet_ai"), ("buyable = true", "molbloom")]
)
def test_an_optional_package_that_is_missing_is_told(text: str, module: str, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=r'is not installed: pip install "molgen-diffusion\[\w+\]"'):
        parsed(f"[[component]]\n{text}")


def test_references_can_be_files(tmp_path):
    (tmp_path / "mine.smi").write_text("CCN\nC1CC1\n", encoding="utf-8")
    text = '[[component]]\nnovel = "mine.smi"\n[[component]]\nunseen_rings = "mine.smi"'
    objective = parsed(text, tmp_path)
    smiles = ["CCN", "CC1CC1", "c1ccccc1"]
    found = [next(iter(each.scorer.answers(smiles))).values for each in objective.components]
    assert found == [[0, 1, 1], [0, 0, 1]]
    assert all(len(each["sha256"]) == 1 for each in objective.record["components"])


def scored(mean: str, weights: tuple[float, float], *rows: tuple[float, float], penalty: bool = False) -> list[float]:
    second = "penalty = true" if penalty else f"weight = {weights[1]}"
    objective = parsed(
        f'mean = "{mean}"\n[[component]]\nname = "a"\nproperty = "qed"\nweight = {weights[0]}\n'
        f'[[component]]\nname = "b"\nproperty = "qed"\n{second}'
    )
    columns = dict(zip("ab", np.array(rows, float).T, strict=True))
    return objective.scores(objective.desirabilities(columns)).round(6).tolist()


def test_means_by_hand():
    assert scored("geometric", (1, 1), (0.25, 1), (0.04, 0.25), (0, 1), (1, 1)) == [0.5, 0.1, 0, 1]
    assert scored("geometric", (3, 1), (0.5, 1)) == [round(0.5**0.75, 6)]
    assert scored("arithmetic", (3, 1), (0.5, 1), (0, 1)) == [0.625, 0.25]
    assert scored("geometric", (1, 0), (0.5, 0)) == [0.5]  # reported, not counted
    assert scored("arithmetic", (1, 1), (0.5, 0.1), penalty=True) == [0.05]


def test_a_missing_component_leaves_no_score():
    for mean in ("geometric", "arithmetic"):
        assert np.isnan(scored(mean, (1, 1), (NAN, 0), (1, NAN))).all()
        assert np.isnan(scored(mean, (1, 1), (1, NAN), penalty=True)).all()


def test_aims_are_those_of_properties():
    text = '[[component]]\nproperty = "logp"\nrange = {low = 1, high = 3}\n[[component]]\nproperty = "qed"'
    assert parsed(text).aims == {"logp": 2}


QED = '[[component]]\nproperty = "qed"\n'
KINDS = "it should have one of property, similar_to, unlike"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mean = ", "objective.toml is not TOML"),
        ("", "it needs components"),
        ("component = 3", "it needs components"),
        ("components = []\n" + QED, "has no 'components'; it takes mean and [[component]]"),
        ('mean = "harmonic"\n' + QED, "mean should be geometric or arithmetic, got 'harmonic'"),
        ("[[component]]\nweight = 1", f"component 1: {KINDS}"),
        (QED + 'has = "C"', "got property and has"),
        (QED + "wieght = 1", "component 1: property has no 'wieght'; it takes name, weight, penalty"),
        (QED + "batch = 3", "property has no 'batch'"),
        (QED + 'weight = "much"', "weight should be a number, 0 or more, got 'much'"),
        (QED + "weight = -1", "weight should be a number, 0 or more, got -1"),
        (QED + "weight = nan", "weight should be a number"),
        (QED + "weight = 0", "at least one component should have a weight above 0"),
        (QED + "penalty = 1", "penalty should be true or false, got 1"),
        (QED + "penalty = true\nweight = 2", "a penalty has no weight"),
        (QED + "penalty = true", "at least one component should have a weight above 0 and be no penalty"),
        (QED + 'name = "score"', "no other column, got 'score'"),
        (QED + 'name = "=1+1"', "name should be a short text"),
        (QED + QED, "two components are called 'qed'"),
        (QED + QED + 'name = "qed desirability"', "cannot be called 'qed desirability'"),
        (QED + "range = {low = 1}", "component 1: range needs high"),
        (QED + "range = {low = 0, high = 1}\ntarget = {value = 1, soft = 1}", "one curve, got range and target"),
        ('[[component]]\nproperty = "logP"', "no property 'logP'; choose from mw, logp"),
        ('[[component]]\nproperty = "logp"', "logp needs a curve: range, target, sigmoid"),
        ("[[component]]\nproperty = 3", "no property 3"),
        ('[[component]]\nsimilar_to = "c1ccc"', "similar_to: 'c1ccc' cannot be a reference: unparsable"),
        ("[[component]]\nsimilar_to = []", "similar_to: should be SMILES, or a list of these, got []"),
        ('[[component]]\nunlike = ["C", 3]', "unlike: should be SMILES, or a list of these"),
        ('[[component]]\nhas = "c1ccc"', "has: 'c1ccc' is not SMARTS"),
        ('[[component]]\nlacks = [""]', "lacks: '' is not SMARTS"),
        ('[[component]]\nalerts = ["PAIN"]', "alerts: no alert set 'PAIN'; choose from PAINS"),
        ('[[component]]\nunseen_rings = "nosuch"', "no reference 'nosuch'"),
        (
            "[[component]]\nunseen_rings = true",
            'should be "model" (what it was trained on), a data set',
        ),
        ("[[component]]\nnovel = 1", "novel: should be"),
        ('[[component]]\nproperty = ["qed"]', "no property ['qed']"),
        ('[[component]]\nadmet = "herg"', "admet: no endpoint 'herg'; choose from HIA_Hou"),
        ('[[component]]\nadmet = ["hERG"]', "admet: no endpoint ['hERG']"),
        ('[[component]]\nadmet = "hERG"', "hERG needs a curve: range, target, sigmoid"),
        ("[[component]]\nbuyable = 1", "buyable: should be true, got 1"),
        ('[[component]]\nlikelihood = "yes"', "likelihood should be true, got 'yes'"),
        ("[[component]]\nlikelihood = true", "these are not in molgen's cache here"),
        ('[[component]]\nfunction = "affinity"', "function should be module:function, such as mine:affinity"),
        ('[[component]]\nfunction = "nosuch:affinity"', "cannot be imported: ModuleNotFoundError"),
        ('[[component]]\nfunction = "math:pi"', "math.pi is not a function"),
        ('[[component]]\nprogram = "nosuchprogram"', "program: there is no nosuchprogram in"),
        ("[[component]]\nprogram = []", "program should be a command"),
        ('[[component]]\nprogram = "it\'s"', "program should be a command"),
        (
            '[[component]]\nprogram = "cat"\ntime_limit = 0',
            "time_limit should be seconds for a molecule, above 0, got 0",
        ),
        ('[[component]]\nprogram = "cat"\nbatch = 0.5', "batch should be a number of molecules, at least 1, got 0.5"),
        ('[[component]]\nonnx = "nosuch.onnx"', "onnx: there is no file"),
    ],
)
def test_every_mistake_is_told(text, message, tmp_path, monkeypatch):
    monkeypatch.setenv("MOLGEN_CACHE", str(tmp_path))
    with pytest.raises(InputError) as error:
        parsed(text, tmp_path)
    assert message in str(error.value)
    assert str(error.value).startswith("objective.toml")


def test_a_program_should_be_executable(tmp_path):
    (tmp_path / "dock.sh").write_text("echo 1\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"dock.sh cannot be run; is it executable \(chmod \+x\)\?"):
        parsed('[[component]]\nprogram = "./dock.sh"', tmp_path)


def test_files_that_are_no_objective(tmp_path):
    with pytest.raises(InputError, match=r"the objective .* cannot be read"):
        load_objective(tmp_path / "none.toml", MODEL)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        load_objective(tmp_path / "bytes.toml", MODEL)
    with pytest.raises(InputError, match="should be a regular file"):
        load_objective(tmp_path, MODEL)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('function = "mine:affinity"', "code and files of your own are not run here"),
        ('program = "./dock.sh"', "code and files of your own are not run here"),
        ('onnx = "model.onnx"', "code and files of your own are not run here"),
        ('novel = "qm9"', 'novel: can only be "model" here'),
        ("unseen_rings = 1", 'unseen_rings: can only be "model" here'),
    ],
)
def test_without_a_folder_neither_code_nor_files_are_taken(text: str, told: str):
    with pytest.raises(InputError, match=told):
        parse_objective(f"[[component]]\n{text}", "objective.toml", Place(MODEL, None))


def test_without_a_folder_the_rest_is_as_with_one():
    text = '[[component]]\nproperty = "qed"\n\n[[component]]\nnovel = "model"\n\n[[component]]\nunseen_rings = "model"'
    assert parse_objective(text, "objective.toml", Place(MODEL, None)).record["mean"] == "geometric"
