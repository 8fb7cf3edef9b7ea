"""The flap as it is wanted and as it is: tried again a few times before it is a fault."""

AGAIN, FAILED = "again", "failed"
_SHUT_TRIES = 2  # people hold a flap open, nobody holds it shut: so many times more patience


class Door:
    """`act` takes actions; `shut` is what the reed switch says, `wanted_open` what was asked."""

    def __init__(self, settings, act):
        self._settings = settings
        self._act = act
        self._tries = 0
        self.shut = True
        self.wanted_open = False
        self.deadline_ms = None

    def move(self, now_ms, is_open):
        """Ask for open or shut; `tick` says when it did not come about."""
        self.wanted_open = is_open
        self._tries = 1
        self._ask(now_ms)

    def leave(self):
        """Let it be where it is: no asking, no fault."""
        self.wanted_open = not self.shut
        self.deadline_ms = None

    def reed(self, shut):
        """The reed switch changed."""
        self.shut = shut
        if shut != self.wanted_open:
            self.deadline_ms = None

    def tick(self, now_ms):
        """Time has passed: FAILED when the flap did not move after all tries, AGAIN when it was
        asked once more, else an empty text.
        """
        if self.deadline_ms is None or now_ms < self.deadline_ms:
            return ""
        tries = self._settings.flap_tries
        if self._tries >= (tries if self.wanted_open else _SHUT_TRIES * tries):
            self.deadline_ms = None
            return FAILED
        self._tries += 1
        self._ask(now_ms)
        return AGAIN

    def _ask(self, now_ms):
        self._act(("flap", self.wanted_open))
        moving = self.shut == self.wanted_open
        self.deadline_ms = now_ms + self._settings.flap_ms if moving else None
