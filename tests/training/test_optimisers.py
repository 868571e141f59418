import hashlib

import pytest
import torch

from molgen.models.registry import BACKENDS
from molgen.training.optimisers import Muon, load_moments, moments, optimisers, orthogonalised
from molgen.training.settings import TrainSettings
from tests.conftest import TINY

# of each backend of TINY: how many weights Muon and AdamW have, and what begins the SHA-256 of all their names in order
GROUPS = {
    "digress": (18, 62, "7ddb83d948d7"),
    "edge": (18, 50, "5eb7f9c983fa"),
    "edpgnn": (16, 68, "98d512c4636b"),
    "nvdiff": (25, 101, "9279c28fa92c"),
}


def test_the_update_is_nearly_orthogonal_whatever_the_shape():
    generator = torch.Generator().manual_seed(0)
    for shape in ((3, 8, 8), (2, 6, 20), (2, 20, 6)):
        values = torch.linalg.svdvals(orthogonalised(torch.randn(shape, generator=generator)))
        assert values.min() > 0.5 and values.max() < 1.3


def test_steps_are_those_of_torch():
    """torch's own computes in bfloat16, so that the updates agree to some per cent."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(12, 30, generator=generator)
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    mine = Muon([ours], 0.02, weight_decay=0.1)
    torchs = torch.optim.Muon([theirs], 0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(4):
        gradient = torch.randn(12, 30, generator=generator)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        mine.step()
        torchs.step()
    moved = (theirs - start).norm()
    assert (ours - theirs).norm() < 0.05 * moved
    assert torch.allclose(
        mine.state[ours]["momentum_buffer"], torchs.state[theirs]["momentum_buffer"], rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("name", BACKENDS)
def test_each_weight_stays_with_its_optimiser(name: str, vocabulary, statistics):
    """Saved states number the weights of each optimiser: where they change places, no old training resumes."""
    kind = BACKENDS[name]
    backend = kind(kind.Config(**TINY[name]), vocabulary, statistics)
    names = {id(parameter): key for key, parameter in backend.named_parameters()}
    adamw, muon = optimisers(backend, TrainSettings())
    groups = [[names[id(weight)] for weight in optimiser.param_groups[0]["params"]] for optimiser in (muon, adamw)]
    assert sorted(groups[0] + groups[1]) == sorted(names.values())
    digest = hashlib.sha256("\n".join(groups[0] + groups[1]).encode()).hexdigest()
    assert (len(groups[0]), len(groups[1]), digest[:12]) == GROUPS[name]


def test_moments_come_back(backend, dataset):
    first = optimisers(backend, TrainSettings())
    backend.loss(dataset.by_size[6].to(torch.int64), torch.Generator().manual_seed(0)).sum().backward()
    for optimiser in first:
        optimiser.step()
    kept = {name: tensor.clone() for name, tensor in moments(first).items()}
    second = optimisers(backend, TrainSettings())
    load_moments(second, kept)
    again = moments(second)
    assert again.keys() == kept.keys() and kept
    assert all(again[name].equal(tensor) for name, tensor in kept.items())
