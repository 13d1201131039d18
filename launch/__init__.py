"""Launchers that start training elsewhere, or several times."""
