"""EDGE (Chen et al. 2023)."""
