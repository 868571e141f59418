"""The contract that every backend keeps; see molgen.models.base.Backend."""

from dataclasses import replace

import pytest
import torch
from scipy.stats import spearmanr
from torch.nn.functional import one_hot

from molgen.device import place
from molgen.errors import InputError
from molgen.models.base import Start
from molgen.models.conditions import Condition, draw_condition
from molgen.models.drafts import Drafts
from molgen.molecules.composition import atoms_request, formula_request
from molgen.molecules.graph import GraphBatch, pair_count, pair_indices
from molgen.molecules.vocabulary import BOND_CLASSES, AtomClass

# of training, until a small model of each kind has learned what it is told
STEPS = {"DiGress": 250, "EDGE": 400, "EDPGNN": 450, "NVDiff": 300}


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


def test_a_family_says_in_words_what_it_does(backend):
    assert set(backend.sampler_help) == set(backend.samplers)
    assert all(backend.sampler_help.values()) and backend.forming.endswith(".")
    assert backend.max_steps >= backend.default_steps


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


def takes_all_for_clean(backend):
    """The name of the method that asks the network, and one in its place that leaves everything as it is."""

    def of_classes(state, *_):
        classes = (state.nodes, len(backend.vocabulary.atoms)), (state.pairs, len(BOND_CLASSES))
        return tuple(one_hot(row, count).float().log() for row, count in classes)

    def of_channels(nodes, pairs, *_):
        return tuple(one_hot(part.argmax(-1), part.shape[-1]).float().log() for part in (nodes, pairs))

    return {
        "DiGress": ("_guided", of_classes),
        "EDPGNN": ("_guided", of_channels),
        "NVDiff": ("_denoise", lambda x, *_: x),
    }[type(backend).__name__]


def test_little_noise_gives_the_start_back(backend, dataset, monkeypatch):
    """Or the backend says that it cannot start from a graph."""
    graph = dataset.by_size[5][torch.zeros(8, dtype=torch.int64)]
    graph = GraphBatch(graph.nodes.long(), graph.pairs.long())
    options = {"steps": 100, "sampler": backend.samplers[0], "generator": generator()}
    if not backend.starts:
        with pytest.raises(InputError, match="cannot start from a molecule"):
            backend.sample(5, 8, **options, start=Start(graph, 0.5))
        return

    if type(backend).__name__ == "NVDiff":  # as if it had learned to decode what it encodes
        latent = backend.config.latent
        monkeypatch.setattr(backend, "encode", lambda batch: 10.0 * one_hot(batch.nodes, latent))
        monkeypatch.setattr(backend, "decode", lambda z, _: GraphBatch(z.argmax(-1), graph.pairs))
    monkeypatch.setattr(backend, *takes_all_for_clean(backend))
    seen = []
    made = backend.sample(
        5, 8, **options, start=Start(graph, 0.02), callback=lambda done, of, _: seen.append((done, of))
    )
    assert seen == [(99, 100), (100, 100)]
    assert (made.nodes == graph.nodes).float().mean() > 0.9 and (made.pairs == graph.pairs).float().mean() > 0.9
    far = backend.sample(5, 8, **options, start=Start(graph, 1.0))
    assert (far.nodes == graph.nodes).float().mean() < 0.9
    for noise in (0.0, 1.5):
        with pytest.raises(InputError, match="noise should be above 0 and at most 1"):
            backend.sample(5, 8, **options, start=Start(graph, noise))
    with pytest.raises(InputError, match="8 graphs of 5 nodes cannot start 4 of 5"):
        backend.sample(5, 4, **options, start=Start(graph, 0.5))


def test_a_graph_with_faults_is_drawn_again(backend, monkeypatch):
    """Until it has none, of every sampler but those that stay as published; or the backend makes no drafts at all."""
    monkeypatch.setattr(backend, "again", 0.9)  # what has not learned anything needs much noise to come out otherwise
    for sampler in backend.samplers:
        judged: list[int] = []

        def bonds(batch, _, judged=judged):
            judged.append(len(batch))
            return (batch.pairs[:, ::2] > 0).sum(1)  # of every other pair: EDGE settles how many there are of all

        def drawn(drafts, sampler=sampler):
            return backend.sample(6, 16, steps=8, sampler=sampler, generator=generator(), drafts=drafts)

        plain, chosen = drawn(None), drawn(Drafts(4, bonds))
        if not backend.chooses or sampler in backend.as_published:
            assert not judged and torch.equal(plain.pairs, chosen.pairs)
        else:
            assert judged[0] == 16 and len(judged) > 3
            assert (chosen.pairs[:, ::2] > 0).sum() < (plain.pairs[:, ::2] > 0).sum()


def test_what_is_drawn_again_has_its_own_start_and_condition(backend, dataset, monkeypatch):
    """From itself, or from what it started from, under what it was told; the callback goes on to see all graphs."""
    if not backend.chooses or backend.samplers[0] in backend.as_published or not backend.config.known_parts:
        pytest.skip("makes no drafts, or takes no known parts")
    batch = dataset.by_size[6].to(torch.int64)[:4]
    targets = torch.arange(4.0)[:, None].expand(-1, len(backend.targets))
    condition = Condition(batch, batch.nodes >= 0, batch.pairs > 0, targets)
    drawings, seen = [], []

    def sample(size, count, drawing):
        drawings.append(drawing)
        made = batch if drawing.start is None else drawing.start.graph
        made = made if drawing.condition is None else drawing.condition.hold(made)
        drawing.callback(1, 5, lambda: made)
        return made

    def faults(graphs, given):
        judged = [tuple(nodes) for nodes in graphs.nodes.tolist()]
        return torch.tensor([int(nodes in {tuple(batch.nodes[row].tolist()) for row in (1, 3)}) for nodes in judged])

    monkeypatch.setattr(backend, "_sample", sample)
    start = Start(batch, 0.25)
    for given in (None, start) if backend.starts else (None,):
        drawings.clear()
        seen.clear()
        backend.sample(
            6, 4, steps=5, sampler=backend.samplers[0], generator=generator(), condition=condition, start=given,
            drafts=Drafts(2, faults), callback=lambda *call: seen.append(call),
        )  # fmt: skip
        again = drawings[1]
        assert again.start.noise == (backend.again if given is None else 0.25)
        assert torch.equal(again.start.graph.nodes, batch.nodes[[1, 3]])
        assert torch.equal(again.condition.targets[:, 0], torch.tensor([1.0, 3.0]))
        assert [(done, of) for done, of, _ in seen] == [(1, 5), (5, 5)]
        assert torch.equal(seen[1][2]().nodes, batch.nodes)


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


def test_a_formula_decides_the_sum_of_bond_orders_beside_what_is_known(backend, dataset, vocabulary):
    """And so the hydrogens: (4 * 4 + 2 * 2 - 8) / 2 = 6 in C4H8O2, even before a network has learned anything."""
    if type(backend).__name__ != "DiGress" and getattr(backend.config, "process", "") != "continuous":
        pytest.skip("EDGE draws valences first, NVDiff takes no formula, the published EDP-GNN has no probabilities")
    request = formula_request("C4H8O2", vocabulary, (0, 1, 1, 1, 1, 1, 1))
    carbon, oxygen = (vocabulary.index[AtomClass(element, 0)] for element in "CO")
    nothing = Condition.nothing(6, 8, len(backend.targets))
    # C-O-C: the pairs 01, 02 and 12 of the first three atoms, of which the last is closed
    pairs = torch.zeros(8, 15, dtype=torch.int64)
    pairs[:, [0, 5]] = 1
    nodes = torch.tensor([carbon, oxygen, carbon, 0, 0, 0]).expand(8, -1)
    known = torch.tensor([True, True, True, False, False, False]).expand(8, -1)
    first, second = pair_indices(6)
    closed = ((first < 3) & (second < 3) | (first == 2) | (second == 2)).expand(8, -1)
    core = Condition(GraphBatch(nodes, pairs), known, closed, nothing.targets)
    for sampler in backend.samplers:
        for condition in (None, core) if backend.config.known_parts else (None,):
            batch = backend.sample(
                6, 8, steps=5, sampler=sampler, generator=generator(), request=request, condition=condition
            )
            assert batch.pairs.sum(1).tolist() == [6] * 8
            assert condition is None or condition.held_by(batch).all()


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


def told(batch, generator, known_share=1.0, target_share=1.0):
    """A random condition that the graphs meet, with made-up targets."""
    targets = torch.tensor([[5.0, 0.5]]).expand(len(batch), -1)
    names = ("hydrogens", "logp")
    return draw_condition(
        batch, targets, names, known_share=known_share, target_share=target_share, generator=generator
    )


def test_known_parts_come_back(backend, dataset):
    """Of every sampler; a backend that only learns to keep them says so, and its graphs are checked afterwards."""
    batch = dataset.by_size[6].to(torch.int64)[[0, 1, 2, 3] * 10]
    for sampler in backend.samplers:
        condition = told(batch, generator(), target_share=0.0)
        assert condition.known_nodes.any() and condition.known_pairs.any()
        drawn = backend.sample(6, 40, steps=5, sampler=sampler, generator=generator(), condition=condition)
        if backend.keeps_parts:
            assert condition.held_by(drawn).all()
        assert drawn.nodes.shape == (40, 6)


def test_everything_known_leaves_nothing_to_draw(backend, dataset):
    batch = dataset.by_size[6].to(torch.int64)
    everything = Condition(
        batch,
        torch.ones_like(batch.nodes).bool(),
        torch.ones_like(batch.pairs).bool(),
        torch.full((len(batch), 2), torch.nan),
    )
    if backend.keeps_parts:
        drawn = backend.sample(
            6, len(batch), steps=4, sampler=backend.samplers[0], generator=generator(), condition=everything
        )
        assert torch.equal(drawn.nodes, batch.nodes) and torch.equal(drawn.pairs, batch.pairs)


def test_an_empty_condition_is_none(backend, dataset):
    batch = dataset.by_size[6].to(torch.int64)
    nothing = Condition.nothing(6, len(batch), 2)
    assert torch.equal(backend.loss(batch, generator()), backend.loss(batch, generator(), nothing))
    options = {"steps": 4, "sampler": backend.samplers[0]}
    free = backend.sample(6, 8, generator=generator(), **options)
    bound = backend.sample(6, 8, generator=generator(), condition=Condition.nothing(6, 8, 2), **options)
    assert torch.equal(free.nodes, bound.nodes) and torch.equal(free.pairs, bound.pairs)


def test_what_is_told_is_listened_to(backend, dataset):
    """Each of known nodes, known pairs and targets changes the loss of the rest, and all of them have gradients."""
    batch = dataset.by_size[6].to(torch.int64)
    nothing = Condition.nothing(6, len(batch), 2)
    asked = replace(nothing, targets=torch.full((len(batch), 2), 3.0))
    free = backend.loss(batch, generator(), nothing)
    assert not torch.allclose(free, backend.loss(batch, generator(), asked))
    known = told(batch, generator(), target_share=0.0)
    assert not torch.allclose(free, backend.loss(batch, generator(), known))
    backend.loss(batch, generator(), told(batch, generator(1))).sum().backward()
    assert backend.get_parameter(f"{backend.target_module}.inward.weight").grad.abs().sum() > 0


def test_targets_are_obtained(backend, vocabulary, dataset, statistics):
    """A small model of its own, trained on how many atoms are oxygen: it is asked for few and for many."""
    torch.manual_seed(0)
    model = type(backend)(backend.config, vocabulary, statistics)
    oxygens = torch.tensor([atom.element == "O" for atom in vocabulary.atoms])
    generator_ = generator()
    pool = torch.randint(3, (512, 4), generator=generator_)  # chains of four of C, N and O
    chain = torch.tensor([1, 0, 0, 1, 0, 1]).expand(512, -1)
    graphs = GraphBatch(pool, chain)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(STEPS[type(backend).__name__]):
        rows = torch.randint(512, (128,), generator=generator_)
        batch = graphs[rows]
        count = oxygens[batch.nodes].sum(1).float()
        targets = torch.stack([torch.full_like(count, torch.nan), count], 1)
        condition = draw_condition(
            batch, targets, model.targets, known_share=0.2, target_share=0.9, generator=generator_
        )
        optimizer.zero_grad()
        model.loss(batch, generator_, condition).mean().backward()
        optimizer.step()
    model.eval()
    asked = torch.arange(4.0).repeat_interleave(32)
    condition = replace(
        Condition.nothing(4, 128, 2), targets=torch.stack([torch.full_like(asked, torch.nan), asked], 1)
    )
    # where thousands are usual, 20 do nothing
    steps = max(20, model.default_steps // 50)
    options = {"steps": steps, "sampler": model.samplers[0], "condition": condition}
    for guidance in (0.0, 1.0):
        drawn = model.sample(4, 128, generator=generator(), guidance=guidance, **options)
        assert spearmanr(asked, oxygens[drawn.nodes].sum(1)).statistic > 0.7


def test_what_cannot_be_told_is_refused(backend, vocabulary, dataset):
    options = {"steps": 2, "sampler": backend.samplers[0], "generator": None}
    with pytest.raises(InputError, match="guidance should be 0 or more, got -1"):
        backend.sample(4, 2, guidance=-1, **options)
    with pytest.raises(InputError, match="guidance goes with targets"):
        backend.sample(4, 2, guidance=1, **options)
    with pytest.raises(InputError, match="on 3 graphs of 5 nodes, not on 2 of 4"):
        backend.sample(4, 2, condition=Condition.nothing(5, 3, 2), **options)
    with pytest.raises(InputError, match="has 2 targets, the condition 1"):
        backend.sample(4, 2, condition=Condition.nothing(4, 2, 1), **options)
    untold = type(backend)(replace(backend.config, known_parts=False), vocabulary, dataset.statistics())
    known = Condition.nothing(4, 2, 0)
    known = replace(known, known_nodes=torch.ones_like(known.known_nodes))
    with pytest.raises(InputError, match="not trained with known parts"):
        untold.sample(4, 2, condition=known, **options)


def test_graphs_and_conditions_are_moved_to_the_model(backend, dataset, monkeypatch):
    """The meta device, which has shapes and no values, stands for a GPU."""
    batch = dataset.by_size[6].to(torch.int64)
    condition = Condition.nothing(6, len(batch), 2)
    seen = []

    def see(graphs: GraphBatch, told: Condition) -> None:
        tensors = (graphs.nodes, graphs.pairs, told.graph.nodes, told.graph.pairs)
        seen.extend(tensor.device.type for tensor in (*tensors, told.known_nodes, told.known_pairs, told.targets))

    monkeypatch.setattr(backend, "_loss", lambda batch, generator, told: see(batch, told))
    monkeypatch.setattr(
        backend, "_sample", lambda size, count, drawing: see(drawing.condition.graph, drawing.condition)
    )
    backend.to("meta")
    backend.loss(batch, None, condition)
    assert seen == 7 * ["meta"]
    backend.sample(6, len(batch), steps=1, sampler=backend.samplers[0], generator=None, condition=condition)
    assert seen == 14 * ["meta"]
    monkeypatch.setattr(backend, "_bound_estimate", lambda batch, generator: lambda time: time + batch.nodes.sum(1))
    assert backend.likelihood(batch, draws=2, generator=generator()).nats.device.type == "meta"
