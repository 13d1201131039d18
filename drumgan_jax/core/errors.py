"""The exception for bad input."""


class BadInput(ValueError):
    """A file or value given by the user cannot be used.

    The message is one sentence that names the file or value and the remedy; the command line prints it without a
    traceback.
    """
