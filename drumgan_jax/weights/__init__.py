"""Published weights: a catalogue, a download cache, and a reader that does not need PyTorch."""
