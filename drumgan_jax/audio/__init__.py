"""Audio: files, transforms, phase reconstruction, and the networks' input representations."""
