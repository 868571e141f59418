"""Drawing molecules from a model: settings, runs, conditions."""
