"""DiGress (Vignac et al. 2023)."""
