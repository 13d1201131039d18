"""Metrics of the quality of generated sound."""
