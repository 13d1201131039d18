"""What the training loop can run: one module per task."""
