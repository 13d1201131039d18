"""Sweeps: many jobs that differ in values of a config or in what they measure, and one table of what came out."""
