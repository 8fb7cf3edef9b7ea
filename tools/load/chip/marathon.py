# Runs on MicroPython, on a bin's flash image: visits one after another (tools/load/marathon.py
# writes VISITS and EVERY above this).
import gc
import json
import sys

import _link

sys.path.insert(0, "/app/a")
gc.threshold(8 * 1024)

from boxbin.core import rules
from boxbin.core.settings import Settings
from boxbin.core.visit import Visit
from boxbin.flash import Flash
from boxbin.witness import open_witness

COLLECT_VISITS = 40
RECEIPT_LINES = 5
READING_MS = 100
KEY_CODE = "BBC1.0123456789ABCDEF"


class Identity:
    bin_id = "B-7K2QM"
    key = bytes(range(32))


class Clock:
    quality = "ntp"

    def unix_ms(self):
        return 1795000000000 + person.now_ms


class Person:
    """One after another at a bin whose parts all work."""

    def __init__(self):
        self.now_ms = 0
        self.seed = 1
        self.mass_g = 0
        self.thanks = 0
        self.lines = 0

    def begin(self):
        self.flash = Flash(Identity, Clock(), open_witness())
        settings = Settings()
        self.per_kg = settings.counts_per_kg
        self.visit = Visit(settings, bytes(32), KEY_CODE)
        self.do(self.visit.start(0))
        self.weigh(20)

    def do(self, actions):
        todo = list(actions)
        while todo:
            action = todo.pop(0)
            if action[0] == "say":
                self.thanks += action[1] == "thanks"
            elif action[0] == "flap":
                todo += self.visit.flap(self.now_ms, not action[1])
            else:
                n = self.flash.append(action[1], action[2])
                todo += self.visit.written(self.now_ms, action[1], n)
                self.lines += 1
                if self.lines % RECEIPT_LINES == 0:
                    self.flash.receipt(self.flash.index.epoch, n)

    def weigh(self, count, swing_g=0):
        for i in range(count):
            self.now_ms += READING_MS
            self.seed = (self.seed * 1103515245 + 12345) & 0x7FFFFFFF
            noise = (self.seed >> 16) % 41 - 20
            grams = self.mass_g + (swing_g >> i if i % 2 else -(swing_g >> i))
            self.do(self.visit.reading(self.now_ms, 80000 + grams * self.per_kg // 1000 + noise))
            wake_ms = self.visit.wake_ms()
            if wake_ms is not None and self.now_ms >= wake_ms:
                self.do(self.visit.tick(self.now_ms))

    def scan(self, text):
        self.do(self.visit.scan(self.now_ms, text, Clock().unix_ms() // 1000))

    def give_back(self, number):
        step = Clock().unix_ms() // 30000
        before = self.thanks
        self.scan("BB1.%08d.%d.ABCDEFGHJKMNPQRS" % (number, step))
        self.scan("SF%012d" % number)
        self.weigh(12)
        self.mass_g += 100 + number % 400
        self.weigh(25, swing_g=200)
        if self.thanks != before + 1:
            raise ValueError("visit %d: no thanks, %s" % (number, rules.name(self.visit.state)))
        self.do(self.visit.button(self.now_ms))
        self.weigh(8)

    def collect(self):
        self.scan(KEY_CODE)
        self.weigh(5)
        self.mass_g = 0
        self.weigh(20)
        self.scan(KEY_CODE)
        self.weigh(20)


person = Person()
person.begin()
erases, programs, _ = _link.stats
for number in range(1, VISITS + 1):
    person.give_back(number)
    if number % COLLECT_VISITS == 0:
        person.collect()
    if number % EVERY == 0:
        gc.collect()
        print(
            json.dumps(
                {
                    "visits": number,
                    "virtual_s": person.now_ms // 1000,
                    "heap_free": gc.mem_free(),
                    "erases_per_visit": (_link.stats[0] - erases) / EVERY,
                    "programs_per_visit": (_link.stats[1] - programs) / EVERY,
                    "backlog": person.flash.index.backlog,
                    "repaired": person.flash.repaired,
                }
            )
        )
        erases, programs, _ = _link.stats
print("done")
