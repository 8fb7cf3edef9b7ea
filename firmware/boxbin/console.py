"""The technician's console: the serial port's end of core/console.py.

Bytes are read one at a time, because on a chip `read(n)` blocks until n have come, and from the raw
buffer, because a text stream would wait for the rest of a character that noise began. A few at a
time and then a rest: what a flood loses are its own bytes. Ctrl-C never comes here: the chip makes
a KeyboardInterrupt of it, which ends the bin and leads to the REPL.
"""

import asyncio
import sys

from boxbin.log import log

_BURST_BYTES = 32
REST_MS = 100
_CLOSED_MS = 5_000


async def run(key_code, uptime_ms, tell, act):
    """Read and answer for ever; `tell` and `act` are those of core/console.py's `answer`.

    Waiting for somebody to type is no progress, so no watchdog looks at this task.
    """
    reader = asyncio.StreamReader(sys.stdin.buffer)
    desk = None
    while True:
        for _ in range(_BURST_BYTES):
            data = await reader.read(1)
            if not data:  # the port has no other end
                await asyncio.sleep_ms(_CLOSED_MS)
                break
            try:
                desk = desk or _desk(key_code)
                core, lines, lock = desk
                for words in lines.feed(data):
                    sys.stdout.write(lines.echo)
                    print(core.answer(words, lock, uptime_ms(), tell, act))
                    lines.echo = ""
                sys.stdout.write(lines.echo)
            except Exception as error:  # noqa: BLE001  (a typed word must not end a bin)
                log("console", repr(error))
        await asyncio.sleep_ms(REST_MS)


def _desk(key_code):
    from boxbin.core import console  # 4 KB that most bins never need: nobody types there

    return console, console.Lines(), console.Lock(key_code)
