"""A bin whose parts all work, or do not, around a visit: what the tests of it drive."""

from boxbin.core import rules, scale, texts, visit
from boxbin.core.settings import Settings

with open(texts.__file__.rsplit("/", 2)[0] + "/" + texts.FILE) as f:
    KEYS = [line.split("|")[0] for line in f.read().split("\n")]
KEY = b"l" * 32
STEP = 56_604_004
UNIX_S = STEP * 30 + 5
PASS = "BB1.7K2QM0AB.%d.ABCDEFGHJKMNPQRS" % STEP
OTHER = "BB1.ZZZZZZZZ.%d.ABCDEFGHJKMNPQRS" % STEP
LABEL = "SF1234567890"
KEY_CODE = "BBC1.0123456789ABCDEF"


class Visit(visit.Visit):
    """Holds each change of state to the table."""

    def _event(self, now_ms, event):
        self._row = rules.find(self.state, event)
        super()._event(now_ms, event)

    def _enter(self, now_ms, state):
        # MicroPython has no frames to look at: the row of the innermost event is the one that acts.
        row = getattr(self, "_row", None)
        assert row is None or row[1] & state, (rules.name(state), row)
        self._row = None
        super()._enter(now_ms, state)


class Bin:
    """A visit with obedient hardware: the flap follows, lines get written, time is a number."""

    def __init__(self, flap_works=True, **changes):
        self.visit = Visit(Settings(changes), KEY, KEY_CODE)
        self.now_ms = 1_000
        self.said = []
        self.lines = []
        self.moves = []
        self.n = 0
        self.flap_works = flap_works
        self.flash_works = True
        self.mass_mg = 5_000_000  # whatever already lies in there
        self.do(self.visit.start(self.now_ms))
        self.rest()

    def do(self, actions):
        for action in actions:
            if action[0] == "say":
                assert action[1] in KEYS, action
                self.said.append((action[1],) + tuple(action[2]))
            elif action[0] == "flap":
                self.moves.append(action[1])
                if self.flap_works:
                    self.do(self.visit.flap(self.now_ms, not action[1]))
            else:
                self.write(action[1], dict(action[2]))

    def write(self, kind, fields):
        if not self.flash_works:
            self.do(self.visit.not_written(self.now_ms))
            return
        self.n += 1
        self.lines.append((kind, fields))
        if kind == "deposit":
            assert ("thanks", fields["g"]) not in self.said[-1:], "thanked before it was written"
        self.do(self.visit.written(self.now_ms, kind, self.n))

    def scan(self, text, unix_s=UNIX_S):
        self.do(self.visit.scan(self.now_ms, text, unix_s))

    def rest(self, grams=0):
        """The container comes to rest, `grams` heavier than before."""
        self.now_ms += 900
        self.mass_mg += grams * 1000
        self.do(self.visit.weigh(self.now_ms, scale.STABLE, self.mass_mg))

    def move(self, grams):
        """A reading in motion."""
        self.now_ms += 100
        self.do(self.visit.weigh(self.now_ms, scale.UNSTABLE, self.mass_mg + grams * 1000))

    def stay(self, ms):
        """Readings at rest go on for a while."""
        end_ms = self.now_ms + ms
        while self.now_ms < end_ms:
            self.now_ms += 100
            self.do(self.visit.weigh(self.now_ms, scale.STABLE, self.mass_mg))

    def wait(self, ms):
        end_ms = self.now_ms + ms
        while True:
            wake_ms = self.visit.wake_ms()
            if wake_ms is None or wake_ms > end_ms:
                break
            self.now_ms = max(self.now_ms, wake_ms)
            self.do(self.visit.tick(self.now_ms))
        self.now_ms = end_ms

    def to_drop(self):
        self.scan(PASS)
        self.scan(LABEL)
        assert self.visit.state == rules.DROP, self.visit.state

    def last(self):
        return self.said[-1][0]

    def kinds(self):
        return [kind for kind, _ in self.lines]


def settled(b, grams, ms=3_000):
    """The container comes to rest `grams` heavier and stays so."""
    b.rest(grams)
    b.stay(ms)


def deposit(b, grams=300):
    b.to_drop()
    b.rest(grams)
    assert b.kinds()[-1] == "deposit"
