"""Layers of PyTorch Geometric, without the files that it leaves in the temporary folder."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from threading import Lock

from torch import nn

CACHE = "TORCHINDUCTOR_CACHE_DIR"
_LOCK = Lock()  # two threads would each write the file, and one of them stay


def graph_layer(kind: str, *arguments: int | nn.Module, **settings: int) -> nn.Module:
    """A layer of torch_geometric.nn by its name. The first of a kind writes its code to a file, imports it, and is done
    with it: the file is deleted, and so is the empty cache folder that importing PyTorch's compiler makes.
    """
    with _LOCK:
        from torch_geometric import nn as layers  # costs the other model families two seconds at every start

        layer: nn.Module = getattr(layers, kind)(*arguments, **settings)
        for generated in ("propagate", "edge_updater"):
            module = sys.modules.get(f"{type(layer).__module__}_{kind}_{generated}")
            if module is not None and module.__file__ is not None:
                Path(module.__file__).unlink(missing_ok=True)
        if CACHE in os.environ:
            with suppress(OSError):  # there is something in it, or no such folder
                Path(os.environ[CACHE]).rmdir()
    return layer
