from collections import Counter

import numpy as np
import pytest
from rdkit import Chem

from molgen.data.prepared import prepare
from molgen.models.checkpoints import load_checkpoint
from molgen.molecules.hashing import smiles_hashes
from molgen.molecules.substructures import parts
from molgen.training import critic
from molgen.training.critic import fitted, keep_critic, number_to_draw
from molgen.training.recipe import train


def test_the_odds_of_a_critic_are_the_ratio_of_the_shares():
    """Real: half alcohols, half amines. Drawn: 80 % alcohols, so that the ratios are 0.5 / 0.8 and 0.5 / 0.2."""
    alcohol, amine = Chem.MolFromSmiles("CCO"), Chem.MolFromSmiles("CCN")
    row = {mol: Counter([*parts(mol), "3 heavy atoms"]) for mol in (alcohol, amine)}
    real, drawn = [row[alcohol], row[amine]] * 4_000, [row[alcohol]] * 3_200 + [row[amine]] * 800
    found = fitted(real, drawn, 4).checked(4)
    for mol, ratio in ((alcohol, 0.5 / 0.8), (amine, 0.5 / 0.2)):
        assert np.exp(found.log_odds(3, smiles_hashes(parts(mol)))) == pytest.approx(ratio, rel=0.02)


def test_parts_in_few_molecules_weigh_nothing():
    rare = Counter({"rare": 1, "2 heavy atoms": 1})
    usual = Counter({"usual": 1, "2 heavy atoms": 1})
    found = fitted([usual] * 100, [rare] * (critic.LEAST - 1) + [usual] * 100, 3)
    assert len(found.parts) == 1


def test_as_much_is_drawn_as_the_training_was_worth():
    assert number_to_draw(1_000_000, 50) == 10_000
    assert number_to_draw(10**9, 50) == critic.DRAWN
    assert number_to_draw(1_000, 100) == 5


@pytest.mark.filterwarnings("ignore:.*training molecules are few")
def test_a_critic_is_kept_with_a_model_that_draws_enough(tmp_path, monkeypatch):
    chains = [f"{a}C{b}{c}C" for a in "CNO" for b in "CNO" for c in "CNO"]
    (tmp_path / "chains.smi").write_text("\n".join(chains), encoding="utf-8")
    prepared = prepare(str(tmp_path / "chains.smi"), workers=1, cache=tmp_path / "cache")
    options = {"layers": 2, "width": 32, "pair_width": 16, "heads": 4, "triangles": 4, "epochs": 2, "batch_size": 8}
    folder = train(prepared, tmp_path / "run", options=options, samples=0).model
    assert load_checkpoint(str(folder)).critic is None  # far too few molecules
    monkeypatch.setattr(critic, "FEWEST", 5)
    monkeypatch.setattr(critic, "LEAST", 2)
    seen: list[tuple[int, int | None]] = []
    keep_critic(folder, prepared, 200, progress=lambda _, done, total: seen.append((done, total)))
    assert seen == sorted(seen) and seen[-1] == (200, 200)
    model = load_checkpoint(str(folder))
    assert model.critic is not None and model.critic_sha256 is not None and len(model.critic.parts) > 5
    assert len(model.critic.sizes) == len(model.statistics.sizes)
