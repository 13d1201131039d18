"""Audio: files, transforms, phase reconstruction, and the representations networks see."""
