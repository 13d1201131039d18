"""What a set of sounds is like: its sound, its classes, how new it is, and all that beside baselines."""
