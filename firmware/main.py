"""Choose the application slot (`/app/a` or `/app/b`, named in `/app/slot`) and start it.

Updating writes the other slot and then this one small file: a bin always has a whole program.
"""

import gc
import sys

try:
    with open("/app/slot") as f:
        slot = f.read(1)
except OSError:
    slot = "a"
sys.path.insert(0, "/app/b" if slot == "b" else "/app/a")

# Collect early and often, from before the first import: what imports leave behind would otherwise
# lie between what stays, and the display's buffer would find no kilobyte in one piece.
gc.threshold(8 * 1024)

from boxbin import app  # noqa: E402  (the slot and the heap come first)

app.main()
