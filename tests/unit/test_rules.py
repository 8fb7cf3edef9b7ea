"""The table of the visit's rules: whole, and drawn in the docs as it is."""

from __future__ import annotations

from boxbin.core import rules, settings
from boxbin.core.visit import Visit

from tools.technician.font import sentences
from tools.technician.rules import PAGE, SOURCE, events, every_rule, page, rows, states


def test_the_page_is_the_table() -> None:
    assert PAGE.read_text() == page(), "draw it anew: python -m tools.technician.rules"


def test_each_rule_has_a_deed_words_and_states_that_exist() -> None:
    names = {name for name, _ in states(SOURCE.read_text()).values()}
    for row in rows(SOURCE.read_text()):
        assert row.states, row
        assert row.events, row
        assert row.then, row
        assert set(row.states) | set(row.then) <= names | {"stay"}
        assert row.words.endswith("."), row
        assert not row.deed or callable(getattr(Visit, row.deed)), row


def test_one_state_and_event_have_one_rule() -> None:
    for bit in states(SOURCE.read_text()):
        for event in events(SOURCE.read_text()):
            found = [row for row in every_rule() if row[0] & bit and row[1] & event]
            assert len(found) <= 1, (rules.name(bit), found)


def test_every_wait_is_bounded_and_every_state_is_reached_and_left() -> None:
    for bit, name in rules.TIMES.items():
        assert settings.row(name)
        assert rules.find(bit, rules.TIME_UP), rules.name(bit)
    for bit in states(SOURCE.read_text()):
        assert bit == rules.STARTING or any(row[3] & bit for row in every_rule()), rules.name(bit)
        leaves = [row for row in every_rule() if row[0] & bit and row[3] & ~(bit | rules.STAY)]
        assert leaves, rules.name(bit)


def test_every_prompt_is_a_sentence() -> None:
    assert set(rules.PROMPTS.values()) <= set(sentences())
