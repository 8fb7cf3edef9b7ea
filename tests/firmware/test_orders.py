"""Orders in trouble: flash without room, heap without room."""

import json
import sys

from boxbin.core import wire

from test_flash import Clock, Identity
from test_witness import Nvs  # puts its esp32 in place

sys.modules["machine"] = sys  # nothing of it is used here
from boxbin.orders import Orders


class UpClock(Clock):
    def uptime_ms(self):
        return 0


class Store:
    trial = 0

    def take(self, value):
        raise OSError(28)


def no_memory():
    raise MemoryError


def made(report=no_memory):
    Nvs.values, Nvs.broken = {}, False
    return Orders(Identity, UpClock(), Store(), None, None, lambda _name: True, report)


def answers(orders):
    found = []
    while True:
        text = orders.next_answer(len(found) + 1)
        if text is None:
            return found
        found.append(json.loads(wire.verify(Identity.key, Identity.bin_id, "done", text)))


def test_settings_that_flash_has_no_room_for_do_not_end_the_link():
    orders = made()
    orders.take_settings({"v": 1, "s": {}})
    assert answers(orders) == []


def test_a_report_that_memory_is_too_short_for_is_refused():
    orders = made()
    orders.take_command({"id": 1, "do": "report", "args": {}, "until": 1})
    orders._next()
    told = answers(orders)
    assert [(a["id"], a["status"], a["why"]) for a in told] == [(1, "refused", "memory")]
    assert Nvs.values["done"] == 1
