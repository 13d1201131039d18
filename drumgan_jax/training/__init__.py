"""Training: the loop, its tasks, and what it needs of data, mesh, checkpoints and logs."""
