"""EDP-GNN (Niu et al. 2020)."""
