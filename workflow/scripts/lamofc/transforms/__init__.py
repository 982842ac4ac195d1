"""Maps between feature values and what an entropy coder codes."""
