"""Runs on MicroPython: plays traces through the firmware's own decisions, in virtual time.

Its host (pool.py) has checked and parsed the trace. Each frame on standard input is

    <length of text, length of events: two 32-bit integers> <text: JSON> <events: 64-bit pairs>

The text may hold "start" (a new trace begins: settings, key_code, zero, unix, flap) and holds
"scans", the texts of this frame's scan events in order. A pair is t in ms and a raw count, or one
of the codes below, which no count reaches. The answer is JSON in lines that begin with MARK:
[t, n, kind, fields] for each journal line, as it is made, and then [] or [t, traceback]. What else
is printed (by an engineer who looks into the rules) the host passes on.
"""

import array
import io
import json
import struct
import sys

from boxbin.core.settings import Settings
from boxbin.core.visit import Visit

MARK = "\x1e"
LINE_PARTS = 4
HEAD = "<II"
SCAN, FLAP_OPEN, FLAP_SHUT, BUTTON, TIME = (1 << 24, 2 << 24, 3 << 24, 4 << 24, 5 << 24)
LABEL_KEY = bytes(32)  # a trace has no fleet: labels go back to their text on the host
READY_MS = 300  # drivers/hx711.py: no reading for so long, and again so long, is "no value"
# After a minute without readings "no value" is told ever more rarely, so that a week's gap in a
# trace takes no hour.
RARER = 256
NEVER_MS = 1 << 60


class Player:
    """One trace. Events are given in time order; what falls due before each is done first."""

    def __init__(self, start, first_ms):
        self.now_ms = first_ms
        self._n = 0
        self._tick_ms = -1  # when the last tick was
        self._unix_ms = start["unix"]
        self._has_flap = start["flap"]
        self._reading_ms = first_ms  # the last one, or the begin
        self._missing_ms = first_ms + READY_MS
        settings = Settings(start["settings"])
        self._visit = Visit(settings, LABEL_KEY, start["key_code"], start["zero"])
        self._do(self._visit.flap(first_ms, True))
        self._do(self._visit.start(first_ms))

    def play(self, events, count, scans):
        """Play `count` numbers of `events`: pairs of time and reading, or time and code."""
        visit, scan = self._visit, 0
        reading, wake, do = visit.reading, visit.wake_ms, self._do
        due_ms = self._due_ms()
        for index in range(0, count, 2):
            now_ms = events[index]
            value = events[index + 1]
            if now_ms >= due_ms:
                self._until(now_ms)
            self.now_ms = now_ms
            if value < SCAN:
                self._reading_ms = now_ms
                self._missing_ms = due_ms = now_ms + READY_MS
                actions = reading(now_ms, value)
            elif value == SCAN:
                unix_s = (self._unix_ms + now_ms) // 1000 if self._unix_ms else 0
                actions = visit.scan(now_ms, scans[scan], unix_s)
                scan += 1
            elif value == BUTTON:
                actions = visit.button(now_ms)
            elif value == TIME:
                actions = ()
            else:
                actions = visit.flap(now_ms, value == FLAP_SHUT)
            if actions:
                do(actions)
            due_ms = self._missing_ms
            wake_ms = wake()
            if wake_ms is not None and wake_ms < due_ms:
                due_ms = wake_ms

    def _due_ms(self):
        wake_ms = self._visit.wake_ms()
        return self._missing_ms if wake_ms is None else min(wake_ms, self._missing_ms)

    def _until(self, end_ms):
        """Give the ticks due until `end_ms`, and "no value" for readings missing until then."""
        while True:
            wake_ms = self._visit.wake_ms()
            if wake_ms is None:
                wake_ms = NEVER_MS
            if wake_ms <= end_ms and wake_ms <= self._missing_ms:
                # As on the bin: a tick that leaves itself due is given again a millisecond later.
                tick_ms = max(wake_ms, self.now_ms, self._tick_ms + 1)
                if tick_ms > end_ms:
                    return
                self.now_ms = self._tick_ms = tick_ms
                self._do(self._visit.tick(tick_ms))
            elif self._missing_ms < end_ms:
                self.now_ms = max(self.now_ms, self._missing_ms)
                self._missing_ms += max(READY_MS, (self.now_ms - self._reading_ms) // RARER)
                self._do(self._visit.reading(self.now_ms, None))
            else:
                return

    def _do(self, actions):
        """Carry out what the visit decided, in order: every line is in flash at once."""
        todo = list(actions)
        while todo:
            action = todo.pop(0)
            if action[0] == "line":
                self._n += 1
                answer(self.now_ms, self._n, action[1], dict(action[2]))
                todo += self._visit.written(self.now_ms, action[1], self._n)
            elif action[0] == "flap" and not self._has_flap:
                todo += self._visit.flap(self.now_ms, not action[1])


def answer(*parts):
    """One line for the host."""
    sys.stdout.write(MARK + json.dumps(parts) + "\n")


def main():
    """Frames in, answers out, until the host closes the pipe."""
    source = sys.stdin.buffer
    player = None
    events = array.array("q")
    while head := source.read(struct.calcsize(HEAD)):
        text_bytes, event_bytes = struct.unpack(HEAD, head)
        text = json.loads(source.read(text_bytes))
        if len(events) * 8 < event_bytes:
            events = array.array("q", bytes(event_bytes))
        source.readinto(memoryview(events)[: event_bytes // 8])
        start = text.get("start")
        now_ms = events[0] if event_bytes else 0
        try:
            if start is not None:
                player = None  # the one before may not be needed, but its memory is
                player = Player(start, now_ms)
            if player is not None:  # else its trace has failed: the rest of it is passed by
                player.play(events, event_bytes // 8, text["scans"])
            answer()
        except Exception as error:  # noqa: BLE001  (whatever the firmware does, the next trace is played)
            trace = io.StringIO()
            sys.print_exception(error, trace)
            answer(player.now_ms if player else now_ms, trace.getvalue())
            player = None


if __name__ == "__main__":
    main()
