"""Training a model: loop, optimisers, recipe."""
