"""Settings of the libraries under PyTorch, which they read from the environment when it is imported."""

import os

# Threads that wait for each other in a long busy loop slow down all others; none at all slows down these.
SPINNING = {"GOMP_SPINCOUNT": "3000"}
# oneDNN keeps what it compiled for each shape of a product, 1,024 of them, in two places. Molecules are drawn in
# batches of ever new shapes, up to a megabyte for each; with so few nothing is slower. A training needs more.
CACHES = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64", "LRU_CACHE_CAPACITY": "64"}


def calm_threads() -> None:
    """Let OpenMP's threads wait without spinning for long, unless the user has chosen; before torch is imported."""
    if not os.environ.keys() & {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}:
        os.environ.update(SPINNING)


def keep_few_shapes() -> None:
    """Let oneDNN keep little, unless the user has chosen; before torch is imported."""
    for name, value in CACHES.items():
        os.environ.setdefault(name, value)
