"""The networks that generate: one folder for each family."""
