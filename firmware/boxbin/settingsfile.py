"""The settings document in flash: `/settings.json`, absent on a bin that never got one."""

import json

from boxbin.core.settings import Settings, SettingsError
from boxbin.log import log

PATH = "/settings.json"
BYTES_MAX = 2_048


def load(path=PATH):
    """The changes to the defaults as a dict; a bad document is refused whole."""
    try:
        with open(path) as f:
            changes = json.loads(f.read(BYTES_MAX))
        Settings(changes)
    except OSError:
        return {}
    except (SettingsError, ValueError, AttributeError) as error:
        log("settings", path, "refused:", error)
        return {}
    return changes
