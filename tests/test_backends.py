"""The contract that every backend keeps; see molgen.backends.base.Backend."""

import pytest
import torch

from molgen.errors import InputError
from molgen.graph import pair_count
from molgen.precision import place
from molgen.requests import atoms_request, formula_request
from molgen.vocabulary import BOND_CLASSES


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("size", [1, 2, 7])
def test_every_sampler_gives_graphs_of_class_indices(backend, vocabulary, size):
    for sampler in backend.samplers:
        batch = backend.sample(size, 3, steps=4, sampler=sampler, generator=generator())
        assert batch.nodes.shape == (3, size)
        assert batch.pairs.shape == (3, pair_count(size))
        assert batch.nodes.dtype == batch.pairs.dtype == torch.int64
        assert batch.nodes.min() >= 0 and batch.nodes.max() < len(vocabulary.atoms)
        if size > 1:
            assert batch.pairs.min() >= 0 and batch.pairs.max() < len(BOND_CLASSES)


def test_the_seed_decides(backend):
    def drawn(seed):
        batch = backend.sample(6, 8, steps=4, sampler=backend.samplers[0], generator=generator(seed))
        return torch.cat([batch.nodes, batch.pairs], dim=1)

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0), drawn(1))


def test_no_draw_touches_the_global_generator(backend):
    before = torch.get_rng_state()
    backend.sample(5, 2, steps=3, sampler=backend.samplers[0], generator=generator())
    assert torch.equal(torch.get_rng_state(), before)


def test_the_callback_sees_every_evaluation(backend):
    for sampler in backend.samplers:
        seen = []
        backend.sample(
            4, 2, steps=5, sampler=sampler, generator=generator(), callback=lambda *call, seen=seen: seen.append(call)
        )
        assert [(done, of) for done, of, _ in seen] == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
        assert all(graphs().nodes.shape == (2, 4) for _, _, graphs in seen)


def test_odd_requests_are_refused_with_what_is_allowed(backend):
    with pytest.raises(InputError, match="unknown sampler 'magic'; choose from"):
        backend.sample(4, 2, steps=5, sampler="magic", generator=None)
    with pytest.raises(InputError, match="steps should be at least 1, got 0"):
        backend.sample(4, 2, steps=0, sampler=backend.samplers[0], generator=None)


def test_a_request_decides_the_atoms(backend, vocabulary):
    """Of every sampler, or the backend says that it takes none."""
    sizes = (0, 1, 1, 1, 1, 1, 1)
    asked = {
        "formula": formula_request("C4H8O2", vocabulary, sizes),
        "atoms": atoms_request("C1 C3 C2 C1 O1 O2", vocabulary, sizes),
    }
    if not backend.requests:
        with pytest.raises(InputError, match="takes no request"):
            backend.sample(6, 2, steps=3, sampler=backend.samplers[0], generator=None, request=asked["formula"])
    for kind in backend.requests:
        for sampler in backend.samplers:
            batch = backend.sample(6, 8, steps=5, sampler=sampler, generator=generator(), request=asked[kind])
            for nodes in batch.nodes.tolist():
                assert sorted(vocabulary.atoms[node].element for node in nodes) == ["C", "C", "C", "C", "O", "O"]


def test_the_loss_is_one_finite_number_a_graph_with_a_gradient(backend, dataset):
    for batch in dataset.by_size.values():
        loss = backend.loss(batch.to(torch.int64), generator())
        assert loss.shape == (len(batch),)
        assert loss.isfinite().all()
    loss.sum().backward()
    assert any(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in backend.parameters())


def test_the_likelihood_has_an_error_that_falls_with_the_draws(backend, dataset):
    batch = dataset.by_size[6].to(torch.int64)
    few = backend.likelihood(batch, draws=4, generator=generator())
    many = backend.likelihood(batch, draws=100, generator=generator())
    assert few.nats.shape == many.standard_error.shape == (len(batch),)
    assert many.nats.isfinite().all() and (many.nats > 0).all()
    assert many.standard_error.mean() < few.standard_error.mean()
    with pytest.raises(InputError, match="at least 2, got 1"):
        backend.likelihood(batch, draws=1, generator=None)


def test_the_likelihood_does_not_depend_on_the_order_of_nodes(backend, dataset):
    batch = dataset.by_size[6].to(torch.int64)
    bound = backend.likelihood(batch, draws=400, generator=generator(0))
    moved = backend.likelihood(batch.permute(torch.randperm(6)), draws=400, generator=generator(1))
    error = (bound.standard_error**2 + moved.standard_error**2).sqrt()
    assert ((bound.nats - moved.nats).abs() < 5 * error).all()


def test_a_model_placed_for_generation_draws_and_judges(backend, dataset):
    """As `molgen generate` uses it: linear layers kept in the format of the products."""
    place(backend, "cpu")
    drawn = backend.sample(6, 4, steps=3, sampler=backend.samplers[0], generator=generator())
    assert drawn.nodes.shape == (4, 6)
    assert backend.likelihood(dataset.by_size[6].to(torch.int64), draws=2, generator=generator()).nats.isfinite().all()
