"""What real molecules are called, and where they come from, to a `Reference`.

    reference = open_reference("qm9", workers=2)

takes a public set, a folder of `molgen data`, a file of molecules, or a model.
"""

from functools import partial
from pathlib import Path

import numpy as np

from molgen.data.prepared import PreparedSet, prepare
from molgen.data.public import PUBLIC
from molgen.data.readers import read_molecules
from molgen.errors import InputError
from molgen.evaluation.draws import sample
from molgen.evaluation.fcd import FCD_SAMPLE, chemnet_activations, chemnet_takes, split_activations
from molgen.evaluation.reference import COMPARED, Reference
from molgen.evaluation.verdicts import CHUNK, judge
from molgen.models.checkpoints import list_models, load_checkpoint
from molgen.molecules.hashing import smiles_hashes
from molgen.parallel import chunks
from molgen.progress import Progress, counted, silent


def open_reference(
    source: str,
    *,
    split: str | None = None,
    standardise: bool = False,
    workers: int = 1,
    progress: Progress = silent,
) -> Reference:
    """The reference of a name (public set, model), a file of molecules, or a folder (prepared set, model).

    split: part of a prepared set that the FCD is measured against, test if omitted. Novel are molecules outside its
    training part; of a file: outside the file; of a model: not trained on. standardise: the molecules of a file.
    Raises InputError where there is no such source, or it has no valid molecule or no such part.
    """
    if is_prepared(source):
        return prepared_reference(prepare(source, progress=progress), split or "test", workers, progress)
    if split:
        raise InputError(
            f"{source} has no parts; one can be chosen of {', '.join(PUBLIC)} or a prepared folder, got {split!r}",
            "split",
        )
    if Path(source).exists() and not Path(source).is_dir():
        return file_reference(source, workers, progress, standardise)
    if not Path(source).exists() and source not in (models := list_models()):
        choices = ", ".join((*PUBLIC, *models))
        raise InputError(f"no reference {source!r}; give {choices}, a file of molecules, or the folder of a model")
    model = load_checkpoint(source)
    return Reference(model.name, model.known, f"what {model.name} was trained on")


def is_prepared(source: str) -> bool:
    """Whether a reference is a public set or a folder of `molgen data`."""
    return source in PUBLIC or (Path(source) / "meta.json").is_file()


def prepared_reference(
    prepared: PreparedSet, split: str = "test", workers: int = 1, progress: Progress = silent
) -> Reference:
    """The training molecules of a prepared set; the FCD is measured against another split, its floor is theirs."""
    choices = [name for name in prepared.splits if name != "train"]
    if split not in choices:
        raise InputError(
            f"{prepared.name} has no part {split!r} to measure against; choose from {', '.join(choices)}", "split"
        )
    smiles = prepared.smiles("train")
    return Reference(
        prepared.name,
        np.sort(smiles_hashes(smiles)),
        f"the training part of {prepared.name}",
        sample(smiles, COMPARED),
        prepared,
        lambda: np.sort(np.concatenate([smiles_hashes(prepared.smiles(part)) for part in prepared.splits])),
        target=partial(split_activations, prepared, split, progress),
        target_name=f"{prepared.name} {split}",
        others=lambda count: split_activations(prepared, "train", progress)[:count],
        others_name=f"{prepared.name} train",
        workers=workers,
        progress=progress,
    )


def file_reference(path: str, workers: int = 1, progress: Progress = silent, standardise: bool = False) -> Reference:
    """The valid molecules of a file; FCD and floor are measured against different ones. Raises InputError for none."""
    parts = counted(chunks(judge(read_molecules(path), workers, standardise), CHUNK), progress, f"reading {path}", None)
    verdicts = [verdict for part in parts for verdict in part]
    smiles = list(dict.fromkeys(verdict.smiles for verdict in verdicts if verdict.valid))
    if not smiles:
        raise InputError(f"{path} cannot be the reference: none of its {len(verdicts)} rows is a valid molecule")
    failed = sum(not verdict.valid for verdict in verdicts)
    warning = f"{failed} of the {len(verdicts)} rows of {path} are not valid molecules and were left out"
    mixed = sample(smiles, len(smiles))
    others = [text for text in mixed[FCD_SAMPLE:] if chemnet_takes(text)]
    return Reference(
        path,
        np.sort(smiles_hashes(smiles)),
        path,
        mixed[:COMPARED],
        target=partial(chemnet_activations, mixed[:FCD_SAMPLE], progress, f"ChemNet, {path}"),
        target_name=path,
        others=lambda count: chemnet_activations(others[:count], progress, f"ChemNet, others of {path}"),
        others_name=f"other molecules of {path}",
        warnings=(warning,) if failed else (),
        workers=workers,
        progress=progress,
    )
