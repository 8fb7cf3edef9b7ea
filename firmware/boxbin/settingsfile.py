"""The settings in flash: what a technician set, and over it the newest document of the gateway.

    /settings.json   {"name": value, …}                     the technician's, absent on most bins
    /fleet.json      {"v": version, "s": {"name": value}}   the gateway's, in force
    /fleet.new       the same, on trial

A document on trial is used from the next start on. It comes into force when the gateway was heard
with it; otherwise, or after _TRIAL_STARTS_MAX starts, it is dropped and the one before is back. A
file is replaced by a rename, so that each start finds a whole one.
"""

import json
import os

from boxbin import nvs
from boxbin.core.settings import Settings, SettingsError
from boxbin.log import log

LOCAL = "/settings.json"
IN_FORCE = "/fleet.json"
ON_TRIAL = "/fleet.new"
BYTES_MAX = 2_048
_TRIAL_STARTS_MAX = 3
_VERSION_MAX = 0x7FFFFFFF


class Store:
    """`settings` are what is used now. `version` is the gateway's document in force (0: none),
    `trial` the one on trial, `refused` the newest that was not taken, or was rolled back.
    """

    def __init__(self):
        self.refused = nvs.number("refused")
        self.version = 0
        self.trial = self._taken = 0
        self._local = _local()
        document = _read(IN_FORCE) or {"v": 0, "s": {}}
        found = _settings(self._local, document["s"])
        self.settings = found or Settings(self._local)
        self.version = document["v"] if found else 0
        self._try()

    def _try(self):
        """Use the document on trial, unless it has had its chances."""
        document = _read(ON_TRIAL)
        if document is None:
            return
        starts = nvs.number("trial")
        self.trial = document["v"]
        found = _settings(self._local, document["s"])
        if found is None or starts >= _TRIAL_STARTS_MAX or document["v"] <= self.refused:
            self.roll_back()
            return
        nvs.put("trial", starts + 1)
        self.settings = found

    def take(self, value):
        """Put a document of the gateway on trial: True when the bin must restart for it, False when
        it is no news. Raises SettingsError: refused whole.
        """
        version, changes = value.get("v"), value.get("s")
        if not isinstance(version, int) or isinstance(version, bool):
            raise SettingsError("v must be an integer, not %r" % (version,))
        if not 0 < version <= _VERSION_MAX or not isinstance(changes, dict):
            raise SettingsError("v must be 1 to %d and s an object" % _VERSION_MAX)
        if version <= max(self.version, self.trial, self._taken, self.refused):
            return False
        try:
            both = dict(self._local)
            both.update(changes)
            Settings(both)
        except SettingsError:
            self.refused = version
            nvs.put("refused", version)
            raise
        nvs.put("trial", 0)
        with open("/fleet.tmp", "w") as f:
            f.write(json.dumps({"v": version, "s": changes}))
        os.rename("/fleet.tmp", ON_TRIAL)
        # The file is no longer the one on trial now: a receipt must not put it in force untried.
        self._taken, self.trial = version, 0
        return True

    def confirm(self):
        """The gateway was heard with them: they stay."""
        self.version, self.trial = self.trial, 0
        os.rename(ON_TRIAL, IN_FORCE)
        nvs.put("trial", 0)

    def roll_back(self):
        """They do not stay: the next start has the ones before."""
        log("settings", "version", self.trial, "rolled back")
        self.refused, self.trial = self.trial, 0
        nvs.put("refused", self.refused)  # first: nothing is told that may yet come in force
        nvs.put("tell", self.refused)
        os.remove(ON_TRIAL)


def _local():
    """The technician's changes, {} when there are none or they are no good."""
    try:
        with open(LOCAL) as f:
            changes = json.loads(f.read(BYTES_MAX))
        Settings(changes)
    except OSError:
        return {}
    except (SettingsError, ValueError, AttributeError, TypeError, KeyError) as error:
        log("settings", LOCAL, "refused:", error)
        return {}
    return changes


def _read(path):
    """A document of the gateway as it was written, or None."""
    try:
        with open(path) as f:
            document = json.loads(f.read(BYTES_MAX + 64))
        if isinstance(document["v"], int) and isinstance(document["s"], dict):
            return document
    except OSError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        log("settings", path, "unreadable:", error)
    return None


def _settings(local, changes):
    """The settings that both make together, or None when they do not fit (another firmware)."""
    both = dict(local)
    both.update(changes)
    try:
        return Settings(both)
    except SettingsError as error:
        log("settings", "refused:", error)
        return None
