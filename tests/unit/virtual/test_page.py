"""The page's endpoints: they answer, they refuse with a reason, only this machine may use them."""

from __future__ import annotations

import base64
import io
import json

import httpx
import pytest
from PIL import Image

from gateway import wire
from tests.support.virtual import scripted
from tools.virtual.page.serve import PageServer
from tools.virtual.page.server import create_app
from tools.virtual.page.snapshot import lamp_word, step
from tools.virtual.world.camera import MAX_IMAGE_BYTES, decode, qr_png

MAIN = """
import machine, time
p = machine.PWM(machine.Pin(26), freq=50, duty_ns=1000000)
b = machine.Pin(33, machine.Pin.IN, machine.Pin.PULL_UP)
print('up')
while True:
    time.sleep_ms(50)
    if not b.value():
        p.duty_ns(2000000)
"""


@pytest.fixture
def bin_(tmp_path):
    with scripted(tmp_path, MAIN, virtual_time=False) as bin_:
        bin_.wait_for_console("up", 20)
        yield bin_


@pytest.fixture
def client(bin_):
    app = create_app(
        bin_, phone_url="http://127.0.0.1:8081/", enrol=lambda: "http://127.0.0.1:8081/enrol/x"
    )
    with PageServer(app) as server, httpx.Client(base_url=server.url, timeout=20) as client:
        yield client


def test_the_page_and_its_parts_are_there(client):
    page = client.get("/")
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "frame-src 'self' http://127.0.0.1:8081;" in policy
    for name in (
        "main.js",
        "bin.js",
        "scan.js",
        "hands.js",
        "words.js",
        "phone.js",
        "say.js",
        "tricks.js",
    ):
        assert client.get(f"/static/{name}").status_code == 200
    assert "http" not in page.text.replace("http-equiv", "")


def test_state(client):
    state = client.get("/api/state").json()
    assert state["bin"] == "B-7K2QM"
    assert state["state"] == "running"
    assert len(base64.b64decode(state["display"])) == 1024
    assert state["flap"]["word"] == "shut"


def test_carton_refused_then_put_in_and_taken_out(client, bin_):
    refused = client.post("/api/drop", json={"mass_g": 300})
    assert refused.status_code == 409
    assert refused.json() == {
        "code": "flap_shut",
        "why": "the flap is shut: the carton does not go in",
    }
    assert client.post("/api/button").status_code == 200
    bin_.wait_for(lambda: bin_.flap() == "open", 20)
    assert client.post("/api/drop", json={"mass_g": 300}).status_code == 200
    assert client.get("/api/state").json()["mass_g"] == 300
    assert client.post("/api/take", json={}).json() == {"g": 300}
    assert client.post("/api/take", json={}).json()["code"] == "empty"
    assert client.post("/api/drop", json={"mass_g": -1}).status_code == 422
    assert client.post("/api/empty").json() == {"cartons": 0}


def test_tricks(client, bin_):
    assert client.post("/api/lower", json={"mass_g": 300}).json()["code"] == "flap_shut"
    assert client.post("/api/press", json={"mass_g": 300}).json()["code"] == "flap_shut_hand"
    client.post("/api/button")
    bin_.wait_for(lambda: bin_.flap() == "open", 20)
    n = client.post("/api/lower", json={"mass_g": 300}).json()["n"]
    assert len(client.post("/api/two", json={"mass_g": 150}).json()["n"]) == 2
    state = client.get("/api/state").json()
    assert [(c["g"], c["string"]) for c in state["cartons"]] == [
        (300, True),
        (150, False),
        (150, False),
    ]
    assert client.post("/api/pull").json() == {"g": 300}
    assert n not in [c["n"] for c in client.get("/api/state").json()["cartons"]]
    assert client.post("/api/pull").json()["code"] == "no_string"
    hand = {"mass_g": 400, "steady": True}
    assert client.post("/api/press", json=hand).json() == {"hand": "press"}
    assert client.get("/api/state").json()["hand"] == "press"
    assert client.post("/api/lift", json=hand).json()["code"] == "hand"
    assert client.post("/api/let-go").json() == {"hand": ""}
    assert client.post("/api/lift", json=hand).json() == {"hand": "lift"}
    client.post("/api/let-go")
    assert client.get("/api/state").json()["hand"] == ""
    assert client.post("/api/lift", json={"mass_g": 0}).status_code == 422


def test_the_key_code_is_that_of_this_bin(client, bin_):
    picture = client.get("/api/key.png")
    code = wire.key_code("B-7K2QM", bytes(range(32)))
    assert decode(picture.content) == [code.encode()]
    assert code == bin_.identity.key_code()
    assert picture.headers["cache-control"] == "no-store"
    for address in ("/", "/api/config", "/api/state", "/api/engineer"):
        assert code not in client.get(address).text


def test_pictures(client):
    assert client.post("/api/scan", content=qr_png("SF1")).json() == {"codes": 1, "powered": True}
    blank = io.BytesIO()
    Image.new("L", (50, 50), 255).save(blank, "PNG")
    assert client.post("/api/scan", content=blank.getvalue()).json()["codes"] == 0
    bad = client.post("/api/scan", content=b"no picture")
    assert (bad.status_code, bad.json()["code"]) == (422, "picture")
    assert "not a picture" in bad.json()["why"]
    large = client.post("/api/scan", content=b"x" * (MAX_IMAGE_BYTES + 1))
    assert large.status_code == 413
    assert client.post("/api/scan", content=b"").status_code == 422


def test_power_and_wifi(client, bin_):
    assert client.post("/api/power", json={"on": False}).json() == {"state": "off"}
    assert client.get("/api/state").json()["powered"] is False
    assert client.post("/api/scan", content=qr_png("SF1")).json()["powered"] is False
    client.post("/api/power", json={"on": True})
    bin_.wait_for_state("running", 20)
    client.post("/api/wifi", json={"on": False})
    assert client.get("/api/state").json()["wifi"]["on"] is False
    assert client.post("/api/shake").status_code == 200


def test_only_this_machine_and_this_page(client):
    assert client.get("/", headers={"host": "evil.example"}).status_code == 421
    other = client.post("/api/power", json={"on": False}, headers={"origin": "http://evil.example"})
    assert other.status_code == 403
    own = client.post("/api/button", headers={"origin": str(client.base_url).rstrip("/")})
    assert own.status_code == 200


def test_phone(client, bin_):
    away = client.get("/phone", follow_redirects=False)
    assert (away.status_code, away.headers["location"]) == (303, "http://127.0.0.1:8081/enrol/x")
    with PageServer(create_app(bin_)) as alone:
        assert httpx.get(alone.url + "phone").status_code == 404
        assert httpx.get(alone.url + "api/config").json()["phone"] is False


def test_pictures_for_the_page(client):
    label = client.get("/api/qr.png", params={"text": "SF1234567890123"})
    assert label.headers["content-type"] == "image/png"
    assert client.get("/api/qr.png", params={"text": "x" * 65}).status_code == 422
    assert Image.open(io.BytesIO(client.get("/api/display.png").content)).size == (512, 256)
    engineer = client.get("/api/engineer").json()
    assert "up" in engineer["console"]
    assert engineer["resets"] == 0


def test_live_state_over_a_real_server(bin_):
    with (
        PageServer(create_app(bin_)) as server,
        httpx.Client(timeout=20) as http,
        http.stream("GET", server.url + "api/events") as events,
    ):
        lines = events.iter_lines()
        first = json.loads(next(line for line in lines if line.startswith("data: "))[6:])
        assert first["flap"]["word"] == "shut"
        bin_.press_button()
        for line in lines:
            if line.startswith("data: ") and json.loads(line[6:])["flap"]["open"] > 0.5:
                break


@pytest.mark.parametrize(
    ("pixels", "word"),
    [
        ([], "off"),
        ([(0, 0, 0)] * 8, "off"),
        ([(24, 24, 24)] * 8, "white"),
        ([(0, 24, 64)] * 8, "blue"),
        ([(0, 64, 8)] * 8, "green"),
        ([(64, 0, 0)] * 8, "red"),
        ([(60, 24, 0)] * 8, "orange"),
        ([(60, 60, 0)] * 8, "yellow"),
        ([(40, 0, 60)] * 8, "purple"),
        ([(64, 0, 0), (0, 64, 0)], "mixed"),
    ],
)
def test_the_lamp_has_a_word(pixels, word):
    assert lamp_word(pixels) == word


def test_steps():
    assert step(powered=False, flap="shut", lamp="white") == 0
    assert step(powered=True, flap="shut", lamp="white") == 1
    assert step(powered=True, flap="shut", lamp="blue") == 2
    assert step(powered=True, flap="open", lamp="blue") == 3
    assert step(powered=True, flap="moving", lamp="green") == 4
    assert step(powered=True, flap="shut", lamp="red") == 1
