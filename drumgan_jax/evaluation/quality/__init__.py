"""What a set of sounds is like: its sound, its classes, how new it is, and all that beside baselines."""

# What a table is measured with unless other metrics are asked for: embedders that need no weights from elsewhere.
METRICS = ("fid:drums", "kid:drums", "prdc:drums", "is:drums", "fid:log_mel")
# Sounds of each row unless another number is asked for.
SOUNDS = 300
