"""Data sets as training and evaluation read them."""
