"""Become the MicroPython interpreter, and die with the parent.

Run as a script with ``-S -I`` (no site, no environment): it starts faster and smaller than the
package's own ``micropython`` script, and the kernel ends it when the thread that started it ends,
so a killed test leaves no bin behind.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Arguments: the folder of the interpreter's library, the parent's pid, its own arguments."""
    library, parent, *rest = sys.argv[1:]
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        sys.exit(1)  # the parent ended before the kernel was told
    sys.path.insert(0, library)
    from micropython_run import run_main  # type: ignore[import-not-found]  # noqa: PLC0415

    sys.exit(run_main(["micropython", *rest]))


main()
