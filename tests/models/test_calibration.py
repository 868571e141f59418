"""Shifts that keep classes as frequent as they are in the training data."""

import pytest
import torch

from molgen.errors import InputError
from molgen.models.conditions import Condition
from molgen.models.digress.calibration import MOST, UP_TO, Calibration, shifts
from molgen.models.digress.config import DiGressConfig
from molgen.models.digress.model import DiGress
from molgen.molecules.graph import GraphBatch
from tests.conftest import TINY


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def model(vocabulary, dataset) -> DiGress:
    torch.manual_seed(0)
    model = DiGress(DiGressConfig(**TINY["digress"], sampler="project-and-noise"), vocabulary, dataset.statistics())
    with torch.no_grad():
        for parameter in model.parameters():  # it now says what the data do not
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def simple(levels=(0.2, 0.6), nodes=(0.0, 1.0)) -> Calibration:
    first = torch.zeros(6)
    first[1] = nodes[0]
    last = torch.zeros(6)
    last[1] = nodes[1]
    return Calibration(torch.tensor(levels), torch.stack([first, last]), torch.zeros(2, 4))


def test_shifts_bring_the_mean_of_all_entries_to_the_shares():
    log_p = [torch.randn(5, 7, 3, generator=generator(seed)).log_softmax(-1) for seed in (0, 1)]
    shares = torch.tensor([0.4, 0.35, 0.25])
    shift = shifts(log_p, shares)
    mean = torch.cat([(each + shift).softmax(-1).flatten(0, 1) for each in log_p]).mean(0)
    assert mean == pytest.approx(shares, abs=1e-4)
    assert float(shift[0]) == 0
    assert shifts(log_p, torch.tensor([1.0, 0.0, 0.0])).abs().max() <= MOST


def test_a_level_between_two_has_the_shift_between_theirs_and_a_later_one_none():
    log_p = torch.zeros(1, 1, 6).log_softmax(-1), torch.zeros(1, 1, 4).log_softmax(-1)
    for alpha_bar, expected in ((0.0, 0.0), (0.2, 0.0), (0.3, 0.25), (0.6, 1.0), (0.61, 0.0)):
        nodes, pairs = simple().shifted(*log_p, alpha_bar)
        assert float(nodes[0, 0, 1] - nodes[0, 0, 0]) == pytest.approx(expected, abs=1e-5)
        assert nodes.exp().sum() == pytest.approx(1) and torch.equal(pairs, log_p[1])


def test_a_run_finds_shifts_for_its_early_levels(model):
    found = Calibration(**model.find_calibration(generator()))
    assert found.checked(6) is found
    assert float(found.levels[0]) < 1e-6 and float(found.levels[-1]) <= UP_TO
    assert float(found.nodes.abs().max()) > 0.05
    # at the first level the graphs are noise alone, whatever the network says of it
    level = torch.zeros(64)
    anything = GraphBatch(torch.zeros(64, 6, dtype=torch.int64), torch.zeros(64, 15, dtype=torch.int64))
    state = model.noised(anything, level, generator(1))
    with torch.no_grad():
        nodes, pairs = found.shifted(*model.network(state, level), 0.0)
    assert nodes.exp().mean((0, 1)) == pytest.approx(model.network.atom_marginals, abs=0.03)
    assert pairs.exp().mean((0, 1)) == pytest.approx(model.network.bond_marginals, abs=0.03)


def test_the_default_sampler_draws_with_it_what_is_told_nothing(model):
    graph = GraphBatch(torch.zeros(8, 6, dtype=torch.int64), torch.zeros(8, 15, dtype=torch.int64))
    nothing = Condition(graph, graph.nodes > 0, graph.pairs > 0, torch.zeros(8, 0))

    def drawn(sampler, condition=None):
        options = {"steps": 6, "sampler": sampler, "generator": generator(), "condition": condition}
        return model.sample(6, 8, **options).nodes

    before = {sampler: drawn(sampler) for sampler in ("project-and-noise", "ancestral", "even")}
    shift = torch.tensor([[0.0, 0.0, 0.0, MOST, 0.0, 0.0]]).expand(2, -1).clone()
    model.calibrate(Calibration(torch.tensor([0.0, 0.9]), shift, torch.zeros(2, 4))._asdict())
    assert (drawn("project-and-noise") == 3).sum() > (before["project-and-noise"] == 3).sum()
    assert torch.equal(drawn("project-and-noise", nothing), before["project-and-noise"])
    assert all(torch.equal(drawn(sampler), before[sampler]) for sampler in ("ancestral", "even"))


@pytest.mark.parametrize(
    ("shifts", "told"),
    [
        (simple()._replace(levels=torch.tensor([0.6, 0.2])), "the levels of a calibration should rise"),
        (simple(nodes=(0.0, 2.0)), "nodes of a calibration should be numbers from -1.5 to 1.5"),
        (simple(nodes=(0.0, float("nan"))), "nodes of a calibration should be numbers from"),
        (simple()._replace(pairs=torch.zeros(2, 3)), r"pairs of a calibration should be float32 \[2, 4\]"),
        (simple()._replace(levels=torch.zeros(0)), "levels of a calibration should be float32"),
    ],
)
def test_a_wrong_calibration_is_refused(model, shifts, told):
    with pytest.raises(InputError, match=told):
        model.calibrate(shifts._asdict())


def test_what_is_not_a_calibration_is_refused(backend):
    with pytest.raises(InputError, match="calibrat"):
        backend.calibrate({"levels": torch.zeros(1)})
