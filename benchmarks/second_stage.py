"""The second stage of the shipped model: a short training with more of its times near the data.

molgen train --data qm9 --output runs/qm9-digress --epochs 36
python benchmarks/second_stage.py runs/qm9-digress runs/qm9-digress-2

The first stage sees every noise level equally often, and most of its loss is what cannot be known under much noise.
Whether valences come out right is settled at the last levels; here times are u ** 2 of uniform u.
"""

import argparse
from pathlib import Path

from tqdm import tqdm

from molgen.backends.digress import DiGress, DiGressConfig
from molgen.checkpoints import load_checkpoint
from molgen.cli.train import save_model
from molgen.prepared import prepare
from molgen.train import Trainer, TrainSettings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path, help="folder of the first stage")
    parser.add_argument("output", type=Path, help="folder of this one")
    options = parser.parse_args()
    prepared = prepare("qm9")
    first = load_checkpoint(str(options.first / "model"))
    backend = DiGress(DiGressConfig(time_power=2.0), prepared.vocabulary, prepared.statistics)
    backend.load_state_dict(first.backend.state_dict())
    settings = TrainSettings(
        epochs=3.417, matrix_rate=2e-3, learning_rate=8e-4, warmup=60, decay=0.8, ema=0.998, seed=1, evaluations=4
    )
    trainer = Trainer(
        backend, prepared.graphs("train"), prepared.graphs("valid"), settings, options.output, "second stage"
    )
    with tqdm(total=trainer.steps, unit="step") as bar:
        trainer.run(
            report=lambda progress: bar.update(progress.step - bar.n),
            export=lambda trainer: save_model(trainer, "digress", prepared, "cpu"),
        )


if __name__ == "__main__":
    main()
