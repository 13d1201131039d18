"""The four systems' networks and training steps in plain PyTorch, as the baseline of bench_torch."""
