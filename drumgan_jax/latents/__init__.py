"""Tools for latent space: principal components, variations, interpolation, inversion."""
