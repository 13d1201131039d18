"""Ways to move in latent space: principal components, variations, interpolation, inversion."""
