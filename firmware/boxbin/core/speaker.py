"""What is said, and for how long: thanks are read before anything that nobody asked for."""


class Speaker:
    """`act` takes actions. `spoke` is True when something was said since it was set to False."""

    def __init__(self, settings, act):
        self._settings = settings
        self._act = act
        self._hold_until_ms = 0
        self._later = None  # (key, arguments, is a message) that waits until the thanks were read
        self._message_ends_ms = None
        self.spoke = False

    def wake_ms(self):
        """When `tick` is due, or None."""
        if self._later:
            return self._hold_until_ms
        return self._message_ends_ms

    def say(self, key, arguments=()):
        """Say it now, in place of whatever was to come."""
        self._message_ends_ms = self._later = None
        self.spoke = True
        self._act(("say", key, arguments))

    def message(self, now_ms, key, arguments=(), for_ms=None):
        """Say it for a while; `tick` tells when that is over."""
        self.say(key, arguments)
        self._message_ends_ms = now_ms + (for_ms or self._settings.message_ms)

    def thank(self, now_ms, key, arguments, message):
        """Thanks, which hold against `after` for a while."""
        if message:
            self.message(now_ms, key, arguments)
        else:
            self.say(key, arguments)
        self._hold_until_ms = now_ms + self._settings.thanks_ms

    def after(self, now_ms, key, arguments=(), message=False):
        """Say it when the thanks have been read: now, or later unless something else is said."""
        if now_ms < self._hold_until_ms:
            self._later = (key, arguments, message)
            self.spoke = True
        elif message:
            self.message(now_ms, key, arguments)
        else:
            self.say(key, arguments)

    def asked(self):
        """Somebody did the next thing: thanks need not be waited for."""
        self._hold_until_ms = 0

    @property
    def quiet(self):
        """True when no message is being shown that will end by itself."""
        return self._message_ends_ms is None

    def tick(self, now_ms):
        """True when a message has been shown long enough and the invitation is due again."""
        if self._later:
            if now_ms >= self._hold_until_ms:
                key, arguments, message = self._later
                self.after(now_ms, key, arguments, message)
            return False
        if self._message_ends_ms is not None and now_ms >= self._message_ends_ms:
            self._message_ends_ms = None
            return True
        return False
