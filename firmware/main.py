"""Choose the application slot (`/app/a` or `/app/b`, named in `/app/slot`) and start it.

Updating writes the other slot and then this one small file: a bin always has a whole program. One
that cannot even be loaded gives way to the other slot, and otherwise is tried again for ever.
"""

import gc
import sys

RETRY_S = 10

# Collect early and often, from before the first import: what imports leave behind would otherwise
# lie between what stays, and the display's buffer would find no kilobyte in one piece.
gc.threshold(8 * 1024)


def load(slot):
    """The application of that slot. Raises whatever it fails with."""
    sys.path.insert(0, "/app/b" if slot == "b" else "/app/a")
    try:
        from boxbin import app

        return app
    except BaseException:
        del sys.path[0]
        for name in [name for name in sys.modules if name.startswith("boxbin")]:
            del sys.modules[name]
        raise


def start():
    """Load one of the slots, then run it."""
    try:
        with open("/app/slot") as f:
            slot = f.read(1)
    except (OSError, ValueError):  # not there, or no text
        slot = "a"
    for name in (slot, "a" if slot == "b" else "b"):
        try:
            app = load(name)
        except Exception as error:  # noqa: BLE001  (the other one, or another try, may do)
            print("main: slot", name, "does not load:", repr(error))
        else:
            app.main()
            return
    import time

    import machine

    time.sleep(RETRY_S)
    machine.reset()


start()
