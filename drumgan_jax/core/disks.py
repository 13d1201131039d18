"""Disks that are full."""

import errno
import os


def is_disk_full(error: BaseException) -> bool:
    """Whether an exception, or one of its causes, reports a full disk or an exhausted quota."""
    cause: BaseException | None = error
    seen: list[BaseException] = []
    # Libraries raise errors again in ways that make one its own cause.
    while cause is not None and cause not in seen:
        seen.append(cause)
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if any(text in str(cause) for text in (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
