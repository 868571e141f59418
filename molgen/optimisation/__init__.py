"""Search for molecules with a high score: the objective, how molecules are changed, the search and its record."""
