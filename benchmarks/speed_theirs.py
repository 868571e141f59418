"""One timing of torch-molecule, run by speed.py in that package's own environment: arguments in, one line of JSON out.

It uses the public class of each method at its defaults; only the epochs are cut short, as nothing here needs good
molecules. Sampling takes as long whatever the weights are.
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import torch
from torch_molecule import DeFoGMolecularGenerator, DigressMolecularGenerator

# the attribute that holds the number of sampling steps
METHODS = {
    "DiGress": (DigressMolecularGenerator, "timesteps"),
    "DeFoG": (DeFoGMolecularGenerator, "sample_steps"),
}


def main() -> None:
    arguments = json.loads(sys.argv[1])
    torch.set_num_threads(arguments["threads"])
    torch.manual_seed(arguments["seed"])
    smiles = Path(arguments["smiles"]).read_text(encoding="utf-8").split()
    kind, steps_name = METHODS[arguments["method"]]
    epochs: list[float] = []

    class Timed(kind):
        def _train_epoch(self, *args, **kwargs):
            started = time.perf_counter()
            result = super()._train_epoch(*args, **kwargs)
            epochs.append(time.perf_counter() - started)
            return result

    model = Timed(epochs=arguments["epochs"], device="cpu", **arguments["settings"])
    model.fit(smiles)
    parameters = sum(tensor.numel() for tensor in model.model.parameters())
    if arguments.get("task") == "evaluations":
        nodes = [[arguments["size"]]] * arguments["batch"]
        setattr(model, steps_name, 3)
        model.generate(nodes)  # warm-up
        setattr(model, steps_name, arguments["steps"])
        started = time.perf_counter()
        model.generate(nodes)
        seconds = time.perf_counter() - started
        print(json.dumps({"seconds": seconds, "batch": len(nodes), "parameters": parameters}))
        return
    trained = epochs[1:]  # the first epoch is the warm-up

    steps = getattr(model, steps_name)
    setattr(model, steps_name, 3)
    model.generate(batch_size=arguments["count"])  # warm-up
    setattr(model, steps_name, steps)
    started = time.perf_counter()
    generated = model.generate(batch_size=arguments["count"])
    seconds = time.perf_counter() - started
    record = {
        "generation_rate": len(generated) / seconds,
        "training_rate": len(trained) * len(smiles) / sum(trained),
        "steps": steps,
        "parameters": parameters,
        "batch_size": model.batch_size,
        "versions": {"torch": torch.__version__, "torch-molecule": version("torch-molecule")},
    }
    print(json.dumps(record))


if __name__ == "__main__":
    main()
