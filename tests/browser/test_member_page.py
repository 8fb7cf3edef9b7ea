"""The member's page in a real Chromium: what a person sees, and what the page must not do.

Longer than others: one page, one browser and one service, which take seconds to start, for all.
"""

from __future__ import annotations

import base64
import io
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import expect, sync_playwright

from tests.support.points import deposit_item, points_service, unix_ms, withdrawn_item

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext, Page, Route

    from tests.support.points import PointsService

CHROMIUM = "/usr/bin/chromium"
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1440, "height": 900}
BACK_MS = 40_000  # the page's longest wait before it tries the service again, and some


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the tests of this file."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PointsService]:
    """One service for the tests that do not end it."""
    with points_service(tmp_path_factory.mktemp("points")) as service:
        yield service


@contextmanager
def page_of(
    browser: Browser, points: PointsService, *, calm: bool = False, **more: object
) -> Iterator[Page]:
    """Open a fresh phone; at the end, no console error and no request to another host."""
    options = {"viewport": PHONE, "locale": "en-GB", **more}
    context: BrowserContext = browser.new_context(**options)  # type: ignore[arg-type]
    page = context.new_page()
    troubles: list[str] = []
    hosts: set[str] = set()
    page.on("console", lambda said: said.type == "error" and troubles.append(said.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    context.on("request", lambda asked: hosts.add(urlsplit(asked.url).netloc))
    yield page
    context.close()
    assert hosts - {""} == {urlsplit(points.url).netloc}
    # What the browser says of a service that is away is not the page's fault.
    assert [said for said in troubles if not (calm and "Failed to load resource" in said)] == []


def enrol(page: Page, points: PointsService, name: str = "Ada", member: str | None = None) -> str:
    """Open a fresh enrolment link and wait for the pass; return the member."""
    whose = member or points.create_member(name)
    page.goto(points.enrolment_link(whose))
    expect(page.locator("#pass-qr")).to_be_visible()
    expect(page.locator("#balance")).not_to_have_text("–")
    return whose


def read_qr(page: Page) -> str:
    """Read the pass from a screenshot, as a scanner would from the glass."""
    picture = Image.open(io.BytesIO(page.screenshot()))
    found = zxingcpp.read_barcodes(picture)
    assert len(found) == 1
    return found[0].text


def deposit(points: PointsService, text: str, n: int, epoch: str) -> dict[str, object]:
    """Send a carton with this pass, scanned just now."""
    item = deposit_item(None, n, epoch=epoch, scanned_at=unix_ms(), **{"pass": text})
    return points.deposit([item])[0]


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pass_is_good_and_the_credit_arrives(
    browser: Browser, points: PointsService, viewport: dict[str, int], scheme: str
) -> None:
    epoch = f"{viewport['width']:06x}{len(scheme):02x}"
    with page_of(browser, points, viewport=viewport, color_scheme=scheme) as page:
        enrol(page, points)
        assert urlsplit(page.url).fragment == ""
        expect(page.locator("#balance")).to_have_text("0")
        expect(page.locator("#history-empty")).to_be_visible()
        assert 1 <= int(page.locator("#countdown").inner_text()) <= 30
        box = page.locator("#pass-qr").bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 240
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

        answer = deposit(points, read_qr(page), 1, epoch)
        assert (answer["status"], answer["balance"]) == ("credited", 10)
        expect(page.locator("#balance")).to_have_text("10")
        expect(page.locator("#history li")).to_have_count(1)
        expect(page.locator("#history li")).to_contain_text("Carton returned")
        expect(page.locator("#history li")).to_contain_text("312 g")
        expect(page.locator("#announce")).to_have_text(
            "10 points for a carton. You have 10 points."
        )
        expect(page.locator("#history-empty")).to_be_hidden()


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_points_taken_back_arrive(
    browser: Browser, points: PointsService, viewport: dict[str, int], scheme: str
) -> None:
    epoch = f"{viewport['width']:06x}{0xB0 + len(scheme):02x}"
    with page_of(browser, points, viewport=viewport, color_scheme=scheme) as page:
        enrol(page, points)
        carton = deposit_item(None, 1, epoch=epoch, scanned_at=unix_ms(), **{"pass": read_qr(page)})
        points.deposit([carton])
        expect(page.locator("#balance")).to_have_text("10")
        points.deposit([withdrawn_item(carton, 2, g=308)])
        expect(page.locator("#balance")).to_have_text("0")
        row = page.locator("#history li").first
        expect(page.locator("#history li")).to_have_count(2)
        for text in ("Carton taken out again", "308 g", "-10", "B-7K2QA"):
            expect(row).to_contain_text(text)
        expect(page.locator("#announce")).to_have_text(
            "Carton taken out again: -10 points. You have 0 points."
        )
        warm, quiet = (
            page.locator(where).first.evaluate("node => getComputedStyle(node).color")
            for where in ("#history li.back .gain", "#history li.good .gain")
        )
        assert warm != quiet  # told apart from a credit not by its sign alone
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.locator("#lang").click()
        expect(row).to_contain_text("纸箱又被取出")
        expect(row).to_contain_text("308 克")


def test_new_pass_every_step(browser: Browser, points: PointsService) -> None:
    with page_of(browser, points) as page:
        start_ms = unix_ms() // 30_000 * 30_000 + 28_000
        page.clock.install(time=start_ms / 1000)
        enrol(page, points)
        first = read_qr(page)
        picture = page.locator("#pass-qr").get_attribute("src") or ""
        page.clock.fast_forward(30_000)
        expect(page.locator("#pass-qr")).not_to_have_attribute("src", picture)
        second = read_qr(page)
        assert int(second.split(".")[2]) > int(first.split(".")[2])
        assert first.split(".")[1] == second.split(".")[1]


def test_phone_with_a_wrong_clock_makes_good_passes(
    browser: Browser, points: PointsService
) -> None:
    with page_of(browser, points) as page:
        page.clock.install(time=unix_ms() / 1000 - 86_400)
        enrol(page, points)
        assert deposit(points, read_qr(page), 1, "0000c10c")["status"] == "credited"


def test_picture_is_a_png_with_its_quiet_zone(browser: Browser, points: PointsService) -> None:
    """A person drags or copies it to the virtual scanner: it must be whole by itself."""
    with page_of(browser, points) as page:
        enrol(page, points)
        kind, _, data = (page.locator("#pass-qr").get_attribute("src") or "").partition(",")
        assert kind == "data:image/png;base64"
        picture = Image.open(io.BytesIO(base64.b64decode(data))).convert("L")
        (found,) = zxingcpp.read_barcodes(picture)
        assert found.text.startswith("BB1.")
        quiet_px = 4 * picture.width // 33
        edge = picture.crop((0, 0, picture.width, quiet_px))
        assert edge.getextrema() == (255, 255)
        assert page.locator("#pass-qr").get_attribute("alt")


def test_copy_button(browser: Browser, points: PointsService) -> None:
    allowed = ["clipboard-read", "clipboard-write"]
    with page_of(browser, points, permissions=allowed) as page:
        enrol(page, points)
        page.locator("#copy").click()
        expect(page.locator("#copy-note")).to_contain_text("copied")
        kinds = page.evaluate("navigator.clipboard.read().then(items => items[0].types)")
        assert kinds == ["image/png"]
    with page_of(browser, points) as page:
        enrol(page, points)
        page.evaluate("() => { navigator.clipboard.write = () => Promise.reject(new Error()); }")
        page.locator("#copy").click()
        expect(page.locator("#copy-note")).to_contain_text("Drag")


def test_languages(browser: Browser, points: PointsService) -> None:
    with page_of(browser, points, locale="zh-CN") as page:
        member = enrol(page, points, "林晓雨")
        expect(page.locator("h1:visible")).to_have_text("林晓雨，你好")
        expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
        deposit(points, read_qr(page), 1, "00000011")
        expect(page.locator("#history li")).to_contain_text("已归还纸箱")
        page.locator("#lang").click()
        expect(page.locator("h1:visible")).to_have_text("Hello, 林晓雨")
        expect(page.locator("#history li")).to_contain_text("Carton returned")
        page.reload()  # the choice is remembered
        expect(page.locator("h1:visible")).to_have_text("Hello, 林晓雨")
        page.goto(f"{points.url}/?lang=zh")
        expect(page.locator("h1:visible")).to_have_text("林晓雨，你好")
        page.goto(points.url)  # and so is the one of the address
        expect(page.locator("h1:visible")).to_have_text("林晓雨，你好")
        assert member


def test_code_typed_by_hand(browser: Browser, points: PointsService) -> None:
    with page_of(browser, points, calm=True) as page:
        page.goto(points.url)
        expect(page.locator("#enrol-form")).to_be_visible()
        page.locator("#enrol-form [type=submit]").click()
        expect(page.locator("#enrol-error")).to_have_text("Type the code first.")
        page.locator("#code").fill("ABCD-EFGH-JKMN")
        page.locator("#code").press("Enter")
        expect(page.locator("#enrol-error")).to_contain_text("There is no such code")
        page.locator("#lang").click()
        expect(page.locator("#enrol-error")).to_contain_text("没有这个绑定码")
        code = points.enrolment_code(points.create_member("Ada"))
        page.locator("#code").fill(code.lower())
        page.locator("#code").press("Enter")
        expect(page.locator("#pass-qr")).to_be_visible()


def test_link_on_an_enrolled_phone_asks_first(browser: Browser, points: PointsService) -> None:
    with page_of(browser, points) as page:
        enrol(page, points, "Ada")
        mine = read_qr(page).split(".")[1]
        page.goto(points.enrolment_link(points.create_member("Mallory")))
        expect(page.locator("#replace-note")).to_contain_text("Ada")
        page.locator("#enrol-cancel").click()
        expect(page.locator("#pass-qr")).to_be_visible()
        assert read_qr(page).split(".")[1] == mine
        assert urlsplit(page.url).fragment == ""


def test_secret_cannot_be_read_back(browser: Browser, points: PointsService) -> None:
    look = """async () => {
        const db = await new Promise((done) => {
            const asked = indexedDB.open("boxback");
            asked.onsuccess = () => done(asked.result);
        });
        const phone = await new Promise((done) => {
            const asked = db.transaction("phone").objectStore("phone").get("me");
            asked.onsuccess = () => done(asked.result);
        });
        db.close();
        const out = await crypto.subtle.exportKey("raw", phone.key).catch((error) => error.name);
        return [phone.key.extractable, out, Object.keys(phone).sort().join(), document.cookie];
    }"""
    with page_of(browser, points) as page:
        enrol(page, points)
        assert page.evaluate(look) == [False, "InvalidAccessError", "handle,key,name", ""]


def test_connection_lost_and_back(browser: Browser, tmp_path: Path) -> None:
    with points_service(tmp_path) as service, page_of(browser, service, calm=True) as page:
        member = enrol(page, service)
        text = read_qr(page)
        service.kill()
        expect(page.locator("#banner")).to_contain_text("Your pass still works", timeout=BACK_MS)
        assert read_qr(page).startswith("BB1.")
        service.start()
        deposit(service, text, 1, "00000021")  # before the page is back
        expect(page.locator("#balance")).to_have_text("10", timeout=BACK_MS)
        expect(page.locator("#banner")).to_be_hidden(timeout=BACK_MS)
        expect(page.locator("#history li")).to_have_count(1)
        deposit(service, text, 2, "00000021")  # and live again
        expect(page.locator("#balance")).to_have_text("20")
        assert member


def test_session_that_ended_leaves_the_pass(browser: Browser, points: PointsService) -> None:
    with page_of(browser, points, calm=True) as page:
        member = enrol(page, points)
        page.context.clear_cookies()
        page.reload()
        expect(page.locator("#banner")).to_contain_text("enrol this phone anew")
        assert deposit(points, read_qr(page), 1, "00000031")["status"] == "credited"
        page.locator("#banner button").click()
        page.locator("#code").fill(points.enrolment_code(member))
        page.locator("#code").press("Enter")
        expect(page.locator("#balance")).to_have_text("10")
        expect(page.locator("#banner")).to_be_hidden()


def test_older_entries_on_demand(browser: Browser, points: PointsService) -> None:
    with page_of(browser, points) as page:
        member = points.create_member("Ada")
        phone = points.enrol_phone(member=member)
        points.deposit([deposit_item(phone, n, epoch="00000041") for n in range(1, 31)])
        enrol(page, points, member=member)
        expect(page.locator("#history li")).to_have_count(20)
        page.locator("#more").click()
        expect(page.locator("#history li")).to_have_count(30)
        expect(page.locator("#more")).to_be_hidden()


@pytest.mark.parametrize("at", [2**53 - 1, -(2**53)])
def test_time_no_calendar_has_spoils_no_other_row(
    browser: Browser, points: PointsService, at: int
) -> None:
    with page_of(browser, points) as page:

        def with_a_strange_row(route: Route) -> None:
            me = route.fetch().json()
            strange = {"seq": 1, "at": at, "code": "deposit.pass_expired", "points": 0}
            details = {"bin": "B-7K2QA", "mass_g": 312}
            me["history"].append({**strange, "balance": 0, "details": details})
            route.fulfill(json=me)

        page.route("**/v1/me", with_a_strange_row)
        enrol(page, points)
        expect(page.locator("#history li")).to_have_count(1)
        expect(page.locator("#history time")).to_have_text("–")
        deposit(points, read_qr(page), 1, f"{at % 2**32:08x}")
        expect(page.locator("#history li")).to_have_count(2)
        expect(page.locator("#history li").first).to_contain_text("Today")


class _Frame(BaseHTTPRequestHandler):
    """A page of another origin with the member's page in a frame."""

    inner = ""

    def do_GET(self) -> None:
        """Answer with the frame."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(f'<iframe src="{self.inner}" width="390" height="844"></iframe>'.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize("allowed", [True, False])
def test_in_a_frame_of_an_allowed_origin_only(
    browser: Browser, tmp_path: Path, *, allowed: bool
) -> None:
    handler = type("Frame", (_Frame,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as outer:
        thread = threading.Thread(target=outer.serve_forever)
        thread.start()
        try:
            origin = f"http://127.0.0.1:{outer.server_port}"
            with points_service(tmp_path, frame_ancestors=[origin] if allowed else []) as service:
                handler.inner = service.enrolment_link(service.create_member("Ada"))  # type: ignore[attr-defined]
                context = browser.new_context(viewport=DESK, locale="en-GB")
                page = context.new_page()
                refused: list[str] = []
                page.on("console", lambda said: refused.append(said.text))
                page.goto(origin)
                inside = page.frame_locator("iframe").locator("#pass-qr")
                if allowed:
                    expect(inside).to_be_visible()
                    answer = deposit(service, read_qr(page), 1, "00000051")
                    expect(page.frame_locator("iframe").locator("#balance")).to_have_text("10")
                    assert answer["status"] == "credited"
                else:
                    expect(inside).to_have_count(0)
                    assert any("frame-ancestors" in said for said in refused)
                context.close()
        finally:
            outer.shutdown()
            thread.join(10)
