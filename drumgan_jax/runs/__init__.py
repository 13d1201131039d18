"""A run directory: its config, checkpoints and metrics, and how its networks are loaded."""
