"""Data preparation from audio to shards: sources, slicing, conditioning, and a TFDS builder on Beam."""
