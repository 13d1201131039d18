"""The verbs of the command line; each file has the flags and the `main` of one verb."""
