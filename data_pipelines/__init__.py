"""From audio to shards: sources, slicing, conditioning, and the TFDS builder on Beam that writes the data set."""
