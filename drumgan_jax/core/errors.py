"""The one exception that bad input raises."""


class BadInput(ValueError):
    """Something the user gave cannot be used.

    The message is one sentence that names the file or value and the mend; the command line prints it alone,
    without a traceback.
    """
