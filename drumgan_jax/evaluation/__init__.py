"""Ways to say how good generated sound is."""
