"""The story of the README in real Chromium: what `make run` shows, played with mouse and pictures.

Screenshots land in build/screenshots/, to be looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Frame, Page, expect, sync_playwright

from tools.country import Country, choose_ports

ROOT = Path(__file__).parents[2]
SHOTS = ROOT / "build" / "screenshots"
CHROMIUM = "/usr/bin/chromium"
ARGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
]
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1440, "height": 900}
LIMIT_MS = 30_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield chromium
        chromium.close()


@pytest.fixture
def country(tmp_path: Path) -> Iterator[Country]:
    SHOTS.mkdir(parents=True, exist_ok=True)
    ports = choose_ports({"page": 0, "points": 0, "broker": 0})
    with Country(tmp_path / "country", ports) as running:
        yield running


@contextmanager
def visitor(browser: Browser, country: Country, **options: object) -> Iterator[BrowserContext]:
    """Somebody's browser; at the end: no error on any console, no request to another host."""
    context = browser.new_context(**options)  # type: ignore[arg-type]
    context.set_default_timeout(LIMIT_MS)
    hosts: set[str] = set()
    troubles: list[str] = []
    context.on("request", lambda asked: hosts.add(urlsplit(asked.url).netloc))
    context.on("console", lambda said: said.type == "error" and troubles.append(said.text))
    context.on("weberror", lambda error: troubles.append(str(error.error)))
    try:
        yield context
    finally:
        context.close()
    assert troubles == []
    assert hosts - {""} <= {urlsplit(country.page_url).netloc, urlsplit(country.points_url).netloc}


def says(page: Page, text: str) -> None:
    """The bin's display, as it is read out to who cannot see it."""
    expect(page.locator("#display-text")).to_contain_text(text, timeout=LIMIT_MS)


def phone_frame(page: Page, country: Country) -> Frame:
    """The phone beside the bin, once it shows a pass."""
    expect(page.frame_locator("#phone-frame").locator("#pass-qr")).to_be_visible(timeout=LIMIT_MS)
    (frame,) = [f for f in page.frames if f.url.startswith(country.points_url)]
    return frame


def drag_pass_to_scanner(page: Page) -> None:
    """With the mouse, slowly enough to be seen."""
    code = page.frame_locator("#phone-frame").locator("#pass-qr").bounding_box()
    scanner = page.locator("#scanner").bounding_box()
    assert code is not None
    assert scanner is not None
    page.mouse.move(code["x"] + code["width"] / 2, code["y"] + code["height"] / 2)
    page.mouse.down()
    page.mouse.move(
        scanner["x"] + scanner["width"] / 2, scanner["y"] + scanner["height"] / 2, steps=15
    )
    page.mouse.up()


def test_one_carton_on_a_desk(browser: Browser, country: Country) -> None:
    """1440 x 900, English: phone and bin side by side, the pass dragged to the scanner."""
    with visitor(browser, country, viewport=DESK, locale="en-GB") as context:
        page = context.new_page()
        page.goto(country.page_url)
        says(page, "show your pass")
        phone = phone_frame(page, country)
        expect(phone.locator("#balance")).to_have_text("0")
        page.screenshot(path=SHOTS / "desk-1-idle.png")

        drag_pass_to_scanner(page)
        says(page, "carton's label")
        page.get_by_role("button", name="Scan the label").click()
        says(page, "Put the carton")
        expect(page.locator("#flap-word")).to_have_text("open")
        page.screenshot(path=SHOTS / "desk-2-open.png")

        page.get_by_role("button", name="Put it in").click()
        says(page, "Thank you!")
        page.screenshot(path=SHOTS / "desk-3-thanks.png")
        expect(phone.locator("#balance")).to_have_text("10")
        expect(phone.locator("#history li")).to_have_count(1)
        says(page, "Balance 10")
        page.screenshot(path=SHOTS / "desk-4-points.png")

        # A second carton in the same visit, and something that is none.
        page.get_by_role("button", name="New carton").click()
        page.get_by_role("button", name="Scan the label").click()
        says(page, "Put the carton")
        expect(page.locator("#flap-word")).to_have_text("open")
        page.get_by_label("something light").check()
        page.get_by_role("button", name="Put it in").click()
        says(page, "Too light")
        page.screenshot(path=SHOTS / "desk-5-too-light.png")
        expect(phone.locator("#balance")).to_have_text("10")


def test_one_carton_with_a_phone_in_the_hand(browser: Browser, country: Country) -> None:
    """390 x 844, Chinese: two pages, the bin's scanner sees a photograph of the phone."""
    options = {"viewport": PHONE, "locale": "zh-CN", "has_touch": True, "device_scale_factor": 2}
    with visitor(browser, country, **options) as context:
        phone = context.new_page()
        phone.goto(country.enrol())
        expect(phone.locator("#pass-qr")).to_be_visible()
        bin_ = context.new_page()
        bin_.goto(country.page_url)
        says(bin_, "请出示会员码")
        expect(bin_.locator("html")).to_have_attribute("lang", "zh-CN")
        bin_.screenshot(path=SHOTS / "phone-1-bin.png", full_page=True)

        phone.bring_to_front()
        photograph = phone.screenshot(path=SHOTS / "phone-2-pass.png")
        bin_.bring_to_front()
        picture = {"name": "phone.png", "mimeType": "image/png", "buffer": photograph}
        bin_.locator("#file").set_input_files(picture)  # type: ignore[arg-type]
        says(bin_, "请扫纸箱面单")
        bin_.get_by_role("button", name="扫面单").click()
        says(bin_, "请放入纸箱")
        expect(bin_.locator("#flap-word")).to_have_text("开")
        bin_.get_by_role("button", name="放进去").click()
        says(bin_, "谢谢")
        bin_.screenshot(path=SHOTS / "phone-3-thanks.png")
        phone.bring_to_front()
        expect(phone.locator("#balance")).to_have_text("10")
        expect(phone.locator("#history li")).to_have_count(1)
        phone.screenshot(path=SHOTS / "phone-4-points.png")


@pytest.mark.parametrize("width", [320, 360, 390])
def test_nothing_is_cut_off_on_a_small_screen(
    browser: Browser, country: Country, width: int
) -> None:
    size = {"width": width, "height": 844}
    with visitor(browser, country, viewport=size, locale="zh-CN") as context:
        page = context.new_page()
        page.goto(country.page_url)
        says(page, "请出示会员码")
        phone = phone_frame(page, country)
        for what in (page.main_frame, phone):
            wide = what.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            assert wide[0] <= wide[1], what.url
        # The last button can be pressed, and the bin's answer can be read meanwhile.
        page.locator("#phone-new").scroll_into_view_if_needed()
        page.locator("#phone-new").click(trial=True)
        page.get_by_role("button", name="把手机对准扫码窗").click()
        says(page, "请扫纸箱面单")
        strip, said = page.locator("#strip").bounding_box(), page.locator("#said").bounding_box()
        assert strip is not None
        assert said is not None
        assert said["y"] + said["height"] < strip["y"]


def test_words_for_what_does_not_work(browser: Browser, country: Country) -> None:
    with visitor(browser, country, viewport=DESK, locale="en-GB") as context:
        page = context.new_page()
        page.goto(country.page_url)
        says(page, "show your pass")
        phone_frame(page, country)
        page.get_by_label("own mass").check()
        page.locator("#own").fill("0")
        page.get_by_role("button", name="Put it in").click()
        expect(page.locator("#said")).to_contain_text("from 1 to 60000 g")
        page.get_by_role("button", name="Pull the plug").click()
        expect(page.locator("#said")).to_contain_text("plug is pulled")
        page.get_by_role("button", name="中文").click()
        expect(page.frame_locator("#phone-frame").locator("#pass-title")).to_contain_text("你好")
        page.reload()
        expect(page.locator("html")).to_have_attribute("lang", "zh-CN")


def test_by_keyboard_alone(browser: Browser, country: Country) -> None:
    """Everything that the mouse does has a button, and the buttons can be reached."""
    with visitor(browser, country, viewport=DESK, locale="en-GB") as context:
        page = context.new_page()
        page.goto(country.page_url)
        says(page, "show your pass")
        phone = phone_frame(page, country)
        for name, sentence in (
            ("Hold the phone to the scanner", "carton's label"),
            ("Scan the label", "Put the carton"),
        ):
            page.get_by_role("button", name=name).focus()
            page.keyboard.press("Enter")
            says(page, sentence)
        expect(page.locator("#flap-word")).to_have_text("open")
        page.get_by_role("button", name="Put it in").focus()
        page.keyboard.press("Enter")
        says(page, "Thank you!")
        expect(phone.locator("#balance")).to_have_text("10")


def test_pull_the_plug_at_the_thanks(browser: Browser, country: Country) -> None:
    """The promise as a person would try it: thanked, plug pulled, plugged in, points there."""
    with visitor(browser, country, viewport=DESK, locale="en-GB") as context:
        page = context.new_page()
        page.goto(country.page_url)
        says(page, "show your pass")
        phone = phone_frame(page, country)
        page.get_by_role("button", name="Wi-Fi off").click()
        page.get_by_role("button", name="Hold the phone to the scanner").click()
        says(page, "carton's label")
        page.get_by_role("button", name="Scan the label").click()
        says(page, "Put the carton")
        expect(page.locator("#flap-word")).to_have_text("open")
        page.get_by_role("button", name="Put it in").click()
        says(page, "Thank you!")
        page.get_by_role("button", name="Pull the plug").click()
        expect(page.locator("#lamp-word")).to_have_text("off")
        expect(phone.locator("#balance")).to_have_text("0")
        page.screenshot(path=SHOTS / "desk-6-dark.png")
        page.get_by_role("button", name="Wi-Fi on").click()
        page.get_by_role("button", name="Plug it in").click()
        says(page, "show your pass")
        expect(phone.locator("#balance")).to_have_text("10", timeout=60_000)
