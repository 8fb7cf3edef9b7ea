"""Choose the application slot (`/app/a` or `/app/b`, named in `/app/slot`) and start it.

Updating writes the other slot and then this one small file: a bin always has a whole program.
"""

import sys

try:
    with open("/app/slot") as f:
        slot = f.read(1)
except OSError:
    slot = "a"
sys.path.insert(0, "/app/b" if slot == "b" else "/app/a")

from boxbin import app

app.main()
