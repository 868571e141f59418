"""NVDiff (Chen et al. 2022)."""
