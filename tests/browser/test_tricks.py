"""The known tricks, tried by hand on the virtual bin's page in real Chromium: what the display says.

Screenshots land in build/screenshots/, to be looked at.
"""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser import test_country as story
from tests.browser.test_country import DESK, PHONE, SHOTS, phone_frame, says, visitor
from tools.country import Country

browser = story.browser
country = story.country

DESK_EN = {"viewport": DESK, "locale": "en-GB"}
PHONE_ZH = {"viewport": PHONE, "locale": "zh-CN", "has_touch": True, "device_scale_factor": 2}
HELD_MS = 600  # longer than a tap


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def arrive(page: Page, country: Country) -> None:
    """The page, with a phone that shows a pass, before a bin that invites."""
    page.goto(country.page_url)
    says(page, "show your pass")
    phone_frame(page, country)


def show_pass(page: Page) -> None:
    button(page, "Hold the phone to the scanner").click()
    says(page, "carton's label")


def open_flap(page: Page) -> None:
    """From an invitation to an open flap."""
    show_pass(page)
    button(page, "Scan the label").click()
    says(page, "Put the carton")
    expect(page.locator("#flap-word")).to_have_text("open")


def inside(page: Page, cartons: int) -> None:
    """So many cartons lie in the container."""
    expect(page.locator("#cartons i")).to_have_count(cartons)


def shot(page: Page, name: str) -> None:
    page.screenshot(path=SHOTS / f"{name}.png")


def test_an_honest_visit(browser: Browser, country: Country) -> None:
    with visitor(browser, country, **DESK_EN) as context:
        page = context.new_page()
        arrive(page, country)
        open_flap(page)
        button(page, "Put it in").click()
        says(page, "Thank you!")
        shot(page, "trick-1-honest-thanks")
        says(page, "Balance 10")
        expect(page.locator("#flap-word")).to_have_text("shut")
        inside(page, 1)


@pytest.mark.parametrize("when", ["at once", "after the flap has shut"])
def test_a_carton_on_a_string(browser: Browser, country: Country, when: str) -> None:
    with visitor(browser, country, **DESK_EN) as context:
        page = context.new_page()
        arrive(page, country)
        open_flap(page)
        button(page, "Lower it on a string").click()
        says(page, "Thank you!")
        shot(page, "trick-2-string-1-thanks")
        if when == "after the flap has shut":
            expect(page.locator("#flap-word")).to_have_text("shut")
        button(page, "Pull the string").click()
        says(page, "Carton taken out")
        shot(page, "trick-2-string-2-taken-back")
        inside(page, 0)
        # The same carton again: its label is no use any more, or it counts once in all.
        expect(button(page, "Put it in")).to_be_enabled()


def test_a_string_with_a_phone_in_the_hand(browser: Browser, country: Country) -> None:
    """390 x 844, Chinese, by touch."""
    with visitor(browser, country, **PHONE_ZH) as context:
        page = context.new_page()
        page.goto(country.page_url)
        says(page, "请出示会员码")
        phone_frame(page, country)
        button(page, "把手机对准扫码窗").tap()
        says(page, "请扫纸箱面单")
        button(page, "扫面单").tap()
        says(page, "请放入纸箱")
        expect(page.locator("#flap-word")).to_have_text("开")
        button(page, "用绳子吊进去").tap()
        says(page, "谢谢")
        shot(page, "trick-2-string-phone-1-thanks")
        button(page, "把绳子拉回来").tap()
        says(page, "纸箱已取出")
        shot(page, "trick-2-string-phone-2-taken-back")


def test_a_stone(browser: Browser, country: Country) -> None:
    with visitor(browser, country, **DESK_EN) as context:
        page = context.new_page()
        arrive(page, country)
        open_flap(page)
        page.get_by_label("a stone").check()
        button(page, "Put it in").click()
        says(page, "Too heavy")
        shot(page, "trick-3-stone")
        button(page, "Take one out").click()
        inside(page, 0)
        says(page, "label")  # the visit goes on


def test_two_at_once(browser: Browser, country: Country) -> None:
    """One label, two cartons: the thanks and the points of one."""
    with visitor(browser, country, **DESK_EN) as context:
        page = context.new_page()
        arrive(page, country)
        open_flap(page)
        button(page, "Put two in at once").click()
        expect(page.locator("#display-text")).to_contain_text(
            re.compile("Thank you! (59|60)[0-9]g")
        )
        shot(page, "trick-4-two-at-once")
        inside(page, 2)
        says(page, "Balance 10")


def test_a_hand_by_mouse_and_keyboard(browser: Browser, country: Country) -> None:
    """Held it presses, let go it is gone: no thanks, or thanks that are taken back."""
    with visitor(browser, country, **DESK_EN) as context:
        page = context.new_page()
        arrive(page, country)
        press, lift = page.locator("#hand-press"), page.locator("#hand-lift")
        lift.focus()
        page.keyboard.down(" ")
        expect(lift).to_have_attribute("aria-pressed", "true")
        expect(lift).to_have_text("Let go")
        page.wait_for_timeout(HELD_MS)
        page.keyboard.up(" ")
        expect(lift).to_have_attribute("aria-pressed", "false")
        open_flap(page)
        press.click()  # a tap: it stays
        expect(press).to_have_text("Let go")
        says(page, "Weighing")
        shot(page, "trick-5-hand")
        press.click()
        expect(press).to_have_attribute("aria-pressed", "false")
        expect(page.locator("#display-text")).not_to_contain_text("Weighing")
        expect(page.locator("#display-text")).not_to_contain_text("Thank you")


def test_a_carton_to_ship_with(browser: Browser, country: Country) -> None:
    with visitor(browser, country, **DESK_EN) as context:
        page = context.new_page()
        arrive(page, country)
        open_flap(page)
        button(page, "Put it in").click()
        says(page, "Balance 10")
        page.locator("#press").click()  # done
        says(page, "goodbye")
        show_pass(page)
        page.locator("#press").click()  # with nothing given: something is wanted
        says(page, "Take a carton")
        expect(page.locator("#flap-word")).to_have_text("open")
        shot(page, "trick-6-reuse-1")
        button(page, "Take one out").click()
        says(page, "again, thank you")
        shot(page, "trick-6-reuse-2-thanks")
        inside(page, 0)


def test_the_operators_round(browser: Browser, country: Country) -> None:
    with visitor(browser, country, **DESK_EN) as context:
        page = context.new_page()
        arrive(page, country)
        open_flap(page)
        button(page, "Put it in").click()
        says(page, "Balance 10")
        button(page, "Scan the key").click()
        says(page, "Collection: scan")
        button(page, "Empty the bin").click()
        inside(page, 0)
        shot(page, "trick-7-collection")
        page.locator("#press").click()  # or the key again, which the scanner reads after 3 s
        says(page, "Collection done")
        says(page, "show your pass")
