"""A training's averaged weights as a model folder with its card."""

import math
import platform
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from molgen.data.prepared import PreparedSet
from molgen.device import place
from molgen.models.checkpoints import load_checkpoint, save_checkpoint, write_calibration
from molgen.progress import Progress, silent
from molgen.training.log import read_log
from molgen.training.trainer import Trainer

MODEL = "model"  # in the folder of the run


def save_model(
    trainer: Trainer, prepared: PreparedSet, known: np.ndarray, ring_systems: np.ndarray, surroundings: np.ndarray
) -> None:
    """Write the averaged weights as a checkpoint folder MODEL in the run's folder, in place of the one before.

    known: sorted hashes of the training molecules, uint64 [N]; ring_systems, surroundings: of their parts, uint64 [k].
    """
    log = read_log(trainer.folder)
    last = log[-1] if log else {}
    minutes, threads, processes = round(trainer.seconds / 60, 1), torch.get_num_threads(), trainer.share.processes
    each = f"{processes} processes with {threads} threads" if processes > 1 else f"{threads} threads"
    card = {
        "name": trainer.folder.name,
        "backend": trainer.name,
        "data": {"set": prepared.name, "training molecules": len(trainer.train_set)},
        "licence": "that of the training data, for your own; MIT for the shipped models",
        "parameters": sum(parameter.numel() for parameter in trainer.backend.parameters()),
        "training": {
            "steps": f"{trainer.step:,} of {trainer.steps:,}",
            "molecules seen": trainer.graphs,
            "minutes": minutes,
            **({"core minutes": round(minutes * threads * processes, 1)} if trainer.device.type == "cpu" else {}),
            "device": f"{trainer.device.type}, {each}, {platform.machine()}",
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            **asdict(trainer.settings),
        },
        "figures": {
            "note": "measured during training on few samples, against the validation molecules",
            **{name: last[name] for name in ("valid_loss", "valid", "unique", "novel", "fcd") if last.get(name)},
            **({"valid before": trainer.first_valid} if math.isfinite(trainer.first_valid) else {}),
        },
        "limits": f"Makes molecules of up to {max(trainer.train_set.by_size)} heavy atoms with the atom types "
        f"{', '.join(map(str, prepared.vocabulary.atoms))}; no stereochemistry.",
    }
    save_checkpoint(
        trainer.folder / MODEL,
        backend_name=trainer.name,
        backend=trainer.backend,
        weights=trainer.ema,
        vocabulary=prepared.vocabulary,
        statistics=trainer.backend.statistics,
        known=known,
        card=card,
        ring_systems=ring_systems,
        surroundings=surroundings,
    )


def keep_calibration(folder: Path, progress: Progress = silent) -> None:
    """Put the calibration of a model whose training is over into its folder, where its family has one."""
    backend = load_checkpoint(str(folder)).backend
    place(backend, "cpu")
    shifts = backend.find_calibration(torch.Generator().manual_seed(0), progress)
    if shifts:
        write_calibration(folder, shifts)
