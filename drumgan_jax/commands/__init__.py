"""The verbs of the command line, one file each: its flags and its `main`."""
