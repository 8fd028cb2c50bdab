"""Processes that are to be interrupted: they must hear Ctrl-C also where the tests themselves do not."""

import signal


def hear_interrupts():
    """For `preexec_fn`: a shell starts background jobs with SIGINT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
