# The HX711 at its two pins. Each edge of SCK is seen; the time between edges is not.
#
# What the chip does: DOUT low says "a reading is there"; each rising edge of SCK shifts out one
# bit, most significant first; after 24 bits the 25th pulse puts DOUT high and chooses channel A,
# gain 128 for the next reading (26: B/32, 27: A/64). A conversion that ends in a half-clocked frame
# loads the new reading: the rest of the old one is lost.
import _link

_SETTLE = 4  # readings dropped after power-down: 400 ms at 10 a second


class HX711:
    def __init__(self):
        self.dout = 1
        self.on_dout = None  # called with the level at each edge of DOUT
        self._value = 0
        self._pulses = 0
        self._ready = False
        self._sck = 0
        self._gain = 25
        self._down = False
        self._settle = 0

    def _set(self, level):
        old = self.dout
        self.dout = level
        if old != level and self.on_dout:
            self.on_dout(level)

    def sample(self, raw):
        """A conversion has ended with `raw` (signed 24 bits at A/128)."""
        if self._sck:
            # Far more than 60 us have passed since the program put SCK high: powered down.
            if not self._down:
                self._down = True
                _link.note("hx711: powered down, SCK was left high")
            self._ready = False
            self._pulses = 0
            self._set(1)
            return
        if self._settle:
            self._settle -= 1
            return
        if 0 < self._pulses < 25:
            _link.note("hx711: new reading in a half-clocked frame (%d pulses)" % self._pulses)
        if self._pulses:
            self._gain = self._pulses if 25 <= self._pulses <= 27 else 25
        if self._gain == 26:
            raw = 0  # nothing is wired to channel B
        elif self._gain == 27:
            raw >>= 1
        self._value = raw & 0xFFFFFF
        self._pulses = 0
        self._ready = True
        if self.dout == 0:
            self._set(1)  # the chip lifts DOUT for a moment while it loads the next reading
        self._set(0)

    def sck(self, level):
        if level == self._sck:
            return
        self._sck = level
        if not level:
            if self._down:
                self._down = False
                self._settle = _SETTLE
                self._gain = 25
            return
        if not self._ready and not self._pulses:
            return  # nothing to shift out: DOUT stays high
        self._ready = False
        self._pulses = pulses = self._pulses + 1
        bit = self._value >> 24 - pulses & 1 if pulses <= 24 else 1
        if bit != self.dout:
            self._set(bit)
        if pulses > 27:
            _link.note("hx711: %d pulses in one frame" % pulses)
