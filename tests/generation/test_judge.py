import shutil

import numpy as np
import pytest
import torch

from molgen.errors import InputError
from molgen.generation.judge import SURE, Judge, judge
from molgen.generation.sampling import Shards
from molgen.generation.settings import make_settings
from molgen.generation.trajectory import trajectories
from molgen.generation.wanted import Sizes, Wanted
from molgen.models.checkpoints import CRITIC, Model, load_checkpoint, write_critic
from molgen.models.critic import Critic
from molgen.molecules.graph import GraphBatch
from molgen.molecules.hashing import smiles_hashes
from tests.generation.test_faults import graph_of

NAMES = {"CCO": "CH2D2(-CH3D1,-OH1D1)", "CCN": "CH2D2(-CH3D1,-NH2D1)"}


def critic(*log_odds: float, sizes: int = 4) -> Critic:
    """Of ethanol and ethylamine."""
    hashes = smiles_hashes(NAMES.values())
    order = np.argsort(hashes)
    return Critic(np.zeros(sizes, np.float32), hashes[order], np.array(log_odds, np.float32)[order])


def joined(*graphs: GraphBatch) -> GraphBatch:
    return GraphBatch(torch.cat([graph.nodes for graph in graphs]), torch.cat([graph.pairs for graph in graphs]))


def drawing(vocabulary, share: float, seed: int):
    """What draws so large a share of ethanol, and ethylamine."""
    both = joined(*(graph_of(smiles, vocabulary) for smiles in NAMES))
    random = np.random.default_rng(seed)
    return lambda rows: both[torch.from_numpy((random.random(len(rows)) >= share).astype(np.int64))]


def test_what_is_kept_is_distributed_as_the_draws_times_the_odds(vocabulary):
    """0.8 * 0.5 / SURE against 0.2 * 1.5 / SURE: 4 to 3."""
    draw = drawing(vocabulary, 0.8, 1)
    first = draw(np.arange(20_000))
    kept = Judge(critic(np.log(0.5), np.log(1.5)), vocabulary, 50).kept(first, draw, np.random.default_rng(2))
    ethanol = graph_of("CCO", vocabulary)
    share = float((kept.nodes == ethanol.nodes).all(1).float().mean())
    assert share == pytest.approx(4 / 7, abs=4 * (4 / 7 * 3 / 7 / 20_000) ** 0.5)


def test_only_what_is_refused_is_drawn_anew_and_no_more_often_than_said(vocabulary):
    sure, never = np.log(SURE), -20.0
    amine, alcohol = graph_of("CCN", vocabulary), graph_of("CCO", vocabulary)
    first = joined(amine, alcohol)
    asked: list[list[int]] = []

    def draw(rows: np.ndarray) -> GraphBatch:
        asked.append(rows.tolist())
        return joined(*[alcohol] * len(rows))

    random = np.random.default_rng(0)
    kept = Judge(critic(never, sure), vocabulary, 4).kept(first, draw, random)
    assert asked == [[1], [1], [1]]
    assert torch.equal(kept.nodes, first.nodes)
    asked.clear()
    kept = Judge(critic(sure, never), vocabulary, 4).kept(first, draw, random)
    assert asked == [[0]]
    assert torch.equal(kept.nodes, joined(alcohol, alcohol).nodes)


def test_what_is_no_molecule_is_refused_and_takes_no_ones_place(vocabulary):
    pieces, whole = graph_of("CC.C", vocabulary), graph_of("CCO", vocabulary)
    kept = Judge(critic(5.0, 5.0), vocabulary, 2).kept(pieces, lambda _: whole, np.random.default_rng(0))
    assert torch.equal(kept.nodes, whole.nodes)
    kept = Judge(critic(-20.0, 5.0), vocabulary, 8).kept(whole, lambda _: pieces, np.random.default_rng(0))
    assert torch.equal(kept.nodes, whole.nodes)


def test_no_odds_are_too_high(vocabulary, recwarn):
    whole = graph_of("CCO", vocabulary)
    sure = critic(20.0, 20.0)._replace(sizes=np.full(4, 1e4, np.float32))
    Judge(sure, vocabulary, 2).kept(whole, lambda _: pytest.fail("refused"), np.random.default_rng(0))
    assert not recwarn.list


@pytest.fixture(scope="module")
def judged(tmp_path_factory) -> Model:
    """qm9-edge with a critic that dislikes oxygen in all places that it knows."""
    folder = tmp_path_factory.mktemp("models") / "edge"
    shutil.copytree(load_checkpoint("qm9-edge").path, folder)
    (folder / CRITIC).unlink(missing_ok=True)
    model = load_checkpoint(str(folder))
    hashes = np.sort(smiles_hashes(["OH1D1(-CH2D2)", "OH1D1(-CH1D3)", "OH1D1(-CH1D3R)", "OH1D1(-CH0D4)"]))
    sizes = np.full(len(model.statistics.sizes), np.log(SURE), np.float32)
    write_critic(folder, Critic(sizes, hashes, np.full(4, -10.0, np.float32)))
    return load_checkpoint(str(folder))


def test_a_run_has_what_its_critic_likes_and_says_so(judged):
    chosen = make_settings(judged, num=40, seed=3, steps=8, device="cpu")
    assert chosen.drafts == 8 and chosen.critic_sha256 == judged.critic_sha256
    liked = Shards(judged, chosen).draw(0)
    plain = Shards(judged, make_settings(judged, num=40, seed=3, steps=8, drafts=1, device="cpu")).draw(0)
    alcohol = [frame["smiles"].str.contains(r"^O[C]|CO$").sum() for frame in (liked, plain)]
    assert alcohol[0] < alcohol[1]
    assert liked.equals(Shards(judged, chosen).draw(0))


def test_a_film_ends_with_the_molecule_that_was_kept(judged):
    chosen = make_settings(judged, num=12, seed=3, steps=8, device="cpu")
    films = trajectories(judged, chosen)
    assert [film.smiles for film in films] == Shards(judged, chosen).draw(0)["smiles"].tolist()
    assert {len(film.pictures) for film in films} <= {8, 9}  # of the last time that it was drawn alone


def test_what_is_told_something_has_no_judge(judged):
    sampler = judged.backend.samplers[0]
    assert judge(judged, Wanted(), sampler, 8) is not None
    assert judge(judged, Wanted(sizes=Sizes(5, 7)), sampler, 8) is not None
    assert judge(judged, Wanted(targets={"logp": None}), sampler, 8) is None
    assert judge(judged, Wanted(), "unmasked", 8) is None
    assert judge(judged, Wanted(), sampler, 1) is None
    for wish in ({"core": "CCC"}, {"formula": "C5H8O2"}):
        assert make_settings(judged, num=1, drafts=4, **wish).critic_sha256 is None
    with pytest.raises(InputError, match="the sampler unmasked makes no drafts to choose from"):
        make_settings(judged, num=1, drafts=4, sampler="unmasked")
    chosen = make_settings(judged, num=1, drafts=1, sampler="unmasked")
    assert chosen.drafts is None and chosen.critic_sha256 is None
    assert make_settings(judged, num=1, drafts=1).critic_sha256 is None  # so that runs of before may go on
