"""A training that starts from the weights of another model, whose atom classes and inputs may be fewer."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from molgen.errors import InputError
from molgen.models.base import Backend
from molgen.models.checkpoints import Model
from molgen.models.config import Value
from molgen.molecules.vocabulary import AtomClass

# settings of a training that starts from a model: high rates would wipe out what it knows
TUNING: dict[str, Value] = {"patience": 3, "matrix_rate": 0.001, "learning_rate": 0.0005}


def start_from(backend: Backend, first: Model) -> list[str]:
    """Give a new backend the weights of a model; marginals and the like stay those of the new data.

    Atom classes that both know keep their weights; those that are new, which are returned, start from those of a
    class of the same element, or else from the mean of all. The model may be of a family that the backend adopts.
    Raises InputError where the networks or their sizes differ.
    """
    weights = backend.weights_of(first.backend)
    if weights is None:
        raise InputError(
            f"this network has nothing in common with that of {first.name}: EDGE starts from our own network of "
            "DiGress alone, and with a pair_width above 0"
        )
    classes = list(first.vocabulary.atoms)
    sources = _sources(backend.vocabulary.atoms, classes)
    for name, parameter in backend.named_parameters():
        old: Tensor | None = weights.get(name)
        if old is not None and name in backend.atom_axes:
            old = _grown(old, backend.atom_axes[name], sources, len(classes))
        if old is not None and name in backend.known_axes and old.shape[1] < parameter.shape[1]:
            old = pad(old, (0, parameter.shape[1] - old.shape[1]))
        if name == f"{backend.target_module}.inward.weight":
            old = _with_targets(parameter, backend.targets, old, first.backend.targets)
        elif old is None and name.startswith((backend.target_module, *backend.new_modules)):
            continue  # what it was never told: the outputs of these parts are zero-initialised
        if old is None or old.shape != parameter.shape:
            raise InputError(f"{first.name} has another network: {name} does not fit; leave its sizes as they are")
        parameter.data.copy_(old)
    return [str(atom) for atom in backend.vocabulary.atoms if atom not in classes]


def _sources(atoms: tuple[AtomClass, ...], classes: list[AtomClass]) -> list[list[int]]:
    """For each of the new atom classes, which of the old ones its weights are the mean of."""
    sources = []
    for atom in atoms:
        same = [old for old, known in enumerate(classes) if known == atom]
        alike = [old for old, known in enumerate(classes) if known.element == atom.element]
        sources.append(same or alike or list(range(len(classes))))
    return sources


def _grown(weights: Tensor, atom_axis: tuple[int, int, int], sources: list[list[int]], classes: int) -> Tensor:
    """A parameter with an axis that counts `classes` atom classes, for the new ones; see Backend.atom_axes."""
    axis, copies, block = atom_axis
    rows = weights.movedim(axis, 0)
    end = copies * classes * block
    parts = rows[:end].reshape(copies, classes, block, *rows.shape[1:])
    grown = torch.stack([parts[:, source].mean(1) for source in sources], 1).flatten(0, 2)
    return torch.cat([grown, rows[end:]]).movedim(0, axis)


def _with_targets(fresh: Tensor, names: tuple[str, ...], old: Tensor | None, old_names: tuple[str, ...]) -> Tensor:
    """The weights [width, targets * features] with those of the properties that the old ones also know put in."""
    if old is None:
        return fresh.detach()
    parts = fresh.detach().clone()
    features = parts.shape[1] // len(names)
    for position, name in enumerate(names):
        if name in old_names:
            known = features * old_names.index(name)
            parts[:, features * position : features * (position + 1)] = old[:, known : known + features]
    return parts
