"""Ways to start training elsewhere than in this terminal, or more than once."""
