"""The critic of a model whose training is over: a logistic regression between training molecules and those it draws."""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from rdkit import Chem

from molgen.data.prepared import PreparedSet
from molgen.device import place
from molgen.evaluation.draws import sample
from molgen.generation.faults import choice
from molgen.generation.sampling import draw_graphs
from molgen.generation.wanted import Wanted
from molgen.models.checkpoints import Model, load_checkpoint, write_critic
from molgen.models.critic import MOST, Critic
from molgen.molecules.encoding import GraphDecoder
from molgen.molecules.hashing import smiles_hashes
from molgen.molecules.substructures import parts
from molgen.progress import Progress, count_from, silent

DRAWN = 16_000  # molecules that a critic learns from
FEWEST = 4_000  # of them, and of training molecules; from fewer it would learn these by heart
REAL = 2  # training molecules for each that is drawn
EVALUATIONS = 0.5  # of the network, for each molecule that was trained on, are spent on drawing
AT_ONCE = 1_000
SEED = 2**32  # no run of a user draws this seed by itself, and what the critic has learnt from should not come again
LEAST = 20  # molecules that a part should be in
INVERSE_PENALTY = 0.1  # C of scikit-learn


def keep_critic(
    folder: Path, prepared: PreparedSet, drawn: int, device: str = "cpu", progress: Progress = silent
) -> None:
    """Put the critic of a model into its folder, from so many molecules, drawn on a device.

    There is none of fewer than FEWEST, and none of a model that draws as its authors published it.
    """
    real = prepared.smiles("train")
    if min(drawn, len(real)) < FEWEST:
        return
    model = load_checkpoint(str(folder))
    if model.backend.is_published:
        return
    place(model.backend, device)
    generated = list(_drawn(model, drawn, progress))
    if len(generated) >= FEWEST:
        mols = (Chem.MolFromSmiles(text) for text in sample(real, REAL * len(generated)))
        write_critic(folder, fitted(list(map(_counted, mols)), generated, len(model.statistics.sizes)))


def number_to_draw(seen: int, steps: int) -> int:
    """How many molecules the critic of a model is worth that saw so many in training and draws by so many steps."""
    return min(DRAWN, int(EVALUATIONS * seen / steps))


def fitted(real: Sequence[Counter[str]], generated: Sequence[Counter[str]], sizes: int) -> Critic:
    """The critic between molecules as `_counted`; sizes: one more than the heavy atoms of the largest."""
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression

    vectorizer = DictVectorizer()
    table = vectorizer.fit_transform([*real, *generated])
    vectorizer.restrict(table.getnnz(axis=0) >= LEAST)
    table = vectorizer.transform([*real, *generated])
    is_real = np.arange(table.shape[0]) < len(real)
    regression = LogisticRegression(C=INVERSE_PENALTY, max_iter=1_000)
    regression.fit(table, is_real, sample_weight=np.where(is_real, len(generated) / len(real), 1.0))
    weights = regression.coef_[0].clip(-MOST, MOST).astype(np.float32)
    found = dict(zip(vectorizer.get_feature_names_out().tolist(), weights, strict=True))
    by_size = regression.intercept_[0] + np.array([found.pop(_of_size(size), 0.0) for size in range(sizes)])
    hashes = smiles_hashes(found)
    order = np.argsort(hashes)
    by_part = np.array(list(found.values()), np.float32)
    return Critic(by_size.clip(-MOST, MOST).astype(np.float32), hashes[order], by_part[order]).checked(sizes)


def _drawn(model: Model, count: int, progress: Progress) -> Iterable[Counter[str]]:
    """The valid ones of so many molecules, drawn as the model draws them if nothing is asked for, but for a critic."""
    decoder, backend = GraphDecoder(model.vocabulary), model.backend
    drafts = choice(model, Wanted())
    for start in range(0, count, AT_ONCE):
        for _, batch in draw_graphs(
            backend,
            model.statistics,
            min(AT_ONCE, count - start),
            sampler=backend.samplers[0],
            steps=backend.default_steps,
            seed=SEED,
            shard=start // AT_ONCE,
            drafts=drafts,
            progress=partial(count_from, progress, start, count),
        ):
            for nodes, pairs in zip(batch.nodes.cpu().numpy(), batch.pairs.cpu().numpy(), strict=True):
                mol = decoder.decode_mol(nodes, pairs)[1]
                if mol is not None:
                    yield _counted(mol)


def _counted(mol: Chem.Mol) -> Counter[str]:
    """How often a molecule has each part, and once what names its size."""
    return Counter([*parts(mol), _of_size(mol.GetNumHeavyAtoms())])


def _of_size(size: int) -> str:
    return f"{size} heavy atoms"
