"""Scale, flap, button, camera: the things around the board."""

from __future__ import annotations

import dataclasses
import io
import itertools
import statistics
from collections.abc import Callable

import pytest
from PIL import Image, ImageDraw

from tests.support.virtual import run_to_end, scripted
from tools.virtual.wire import DOWN_HEADER, LinkError, UpReader, down
from tools.virtual.world.camera import MAX_IMAGE_BYTES, PictureError, decode, qr_png
from tools.virtual.world.flap import TRAVEL_US, Flap
from tools.virtual.world.hands import MAX_CARTONS, Refused
from tools.virtual.world.kernel import Kernel
from tools.virtual.world.scale import Scale, ScaleModel
from tools.virtual.world.world import World


def readings(model: ScaleModel, seed: int = 1, *, loads: tuple[tuple[int, float], ...] = ()):
    kernel = Kernel()
    out: list[tuple[int, int]] = []
    scale = Scale(kernel, seed, lambda counts: out.append((kernel.now_us, counts)), model)
    scale.power(on=True)
    for at_us, mass in loads:
        kernel.at(at_us, lambda mass=mass: scale.put(mass))
    kernel.run_to(20_000_000)
    return [(t, (c - model.zero_counts) / model.counts_per_g) for t, c in out]


def test_noise_is_what_the_data_sheet_says():
    grams = [g for _, g in readings(ScaleModel())][5:]
    assert 0.8 < statistics.stdev(grams) < 1.2
    assert abs(statistics.mean(grams)) < 0.3


def test_a_carton_swings_and_comes_to_rest_at_its_mass():
    got = readings(ScaleModel(noise_g=0), loads=((5_000_000, 300.0),))
    before = [g for t, g in got if 1_000_000 < t <= 5_000_000]
    swing = [g for t, g in got if 5_000_000 < t <= 5_600_000]
    rest = [g for t, g in got if t > 7_000_000]
    assert max(map(abs, before)) < 0.1
    assert max(swing) - min(swing) > 50
    assert max(abs(g - 300) for g in rest) < 0.5


def test_the_seed_alone_decides():
    assert readings(ScaleModel(), 3) == readings(ScaleModel(), 3)
    assert readings(ScaleModel(), 3) != readings(ScaleModel(), 4)


def test_drift():
    got = readings(ScaleModel(noise_g=0, drift_g_per_min=60))
    assert 19 < got[-1][1] < 21


def course(do: Callable[[Scale], object], until_us: int = 20_000_000, **model: float):
    """Grams by seconds of an empty scale to which `do` happens at 5 s; without noise."""
    kernel = Kernel()
    scale_model = ScaleModel(**({"noise_g": 0.0} | model))
    out: list[tuple[float, float]] = []

    def deliver(counts: int) -> None:
        grams = (counts - scale_model.zero_counts) / scale_model.counts_per_g
        out.append((kernel.now_us / 1e6, grams))

    scale = Scale(kernel, 1, deliver, scale_model)
    scale.power(on=True)
    kernel.at(5_000_000, lambda: do(scale))
    kernel.run_to(until_us)
    return out


def test_a_carton_on_a_string_comes_slowly_and_does_not_swing():
    def do(scale: Scale) -> None:
        number = scale.put(300, slow_ms=1000)
        scale._kernel.after(5_000_000, lambda: scale.lift(number))

    got = course(do)
    down = [g for t, g in got if 5 <= t <= 6.05]
    up = [g for t, g in got if 10 <= t <= 11.05]
    assert down == sorted(down)
    assert up == sorted(up, reverse=True)
    assert 100 < down[5] < 200, "half of it after half the time"
    assert max(g for _, g in got) < 300.1
    assert max(abs(g - 300) for t, g in got if 6.1 < t < 10) < 0.1
    assert max(abs(g) for t, g in got if t > 11.1) < 0.1


def test_a_hand_trembles_and_wanders_and_an_iron_one_does_not():
    hand = [g for t, g in course(lambda s: s.press(400)) if t > 7]
    iron = [g for t, g in course(lambda s: s.press(400, steady=True)) if t > 7]
    assert 380 < statistics.mean(hand) < 420
    assert 8 < statistics.stdev(hand) < 40
    assert max(abs(b - a) for a, b in itertools.pairwise(hand)) > 8, "tremor"
    assert max(iron) - min(iron) < 0.5
    lifted = course(lambda s: s.press(-250, 600, steady=True))
    assert min(g for t, g in lifted if t > 1) > -251, "quietly: no swing"
    assert lifted[-1][1] == pytest.approx(-250, abs=0.5)


def test_faults_of_the_street():
    assert max(abs(g) for _, g in course(lambda _: None)[5:]) < 0.1
    shaken = [g for _, g in course(lambda _: None, vibration_g=15.0)[5:]]
    assert 10 < max(shaken) < 16
    assert abs(statistics.mean(shaken)) < 3
    spiked = [g for _, g in course(lambda _: None, spikes_per_min=60.0)[5:]]
    wrong = [g for g in spiked if abs(g) > 1]
    assert 8 < len(wrong) < 40
    assert {round(abs(g)) for g in wrong} == {5000}

    def warm(scale: Scale) -> None:
        scale.model = dataclasses.replace(scale.model, drift_g_per_min=60)

    drifting = course(warm)
    assert abs(dict(drifting)[5.0]) < 0.2
    assert drifting[-1][1] == pytest.approx(15, abs=0.5), "a gram a second from then on"


def make_flap():
    kernel = Kernel()
    reeds: list[tuple[int, int]] = []
    return kernel, Flap(kernel, 1000, 2000, lambda v: reeds.append((kernel.now_us, v))), reeds


def test_the_flap_needs_its_time_and_the_reed_sees_it():
    kernel, flap, reeds = make_flap()
    flap.pwm(50, 2_000_000)
    kernel.run_to(TRAVEL_US // 2)
    assert flap.word() == "moving"
    assert flap.position() == pytest.approx(0.5)
    assert flap.reed() == 1
    kernel.run_to(TRAVEL_US)
    assert flap.word() == "open"
    flap.pwm(50, 1_000_000)
    kernel.run_to(3 * TRAVEL_US)
    assert (flap.word(), flap.reed()) == ("shut", 0)
    assert [level for _, level in reeds] == [1, 0]


def test_a_jammed_flap_and_a_lost_signal_stay_where_they_are():
    kernel, flap, _ = make_flap()
    flap.pwm(50, 2_000_000)
    kernel.run_to(TRAVEL_US // 2)
    flap.pwm(0, 0)
    kernel.run_to(TRAVEL_US * 2)
    assert flap.position() == pytest.approx(0.5)
    flap.jammed = True
    flap.pwm(50, 1_000_000)
    kernel.run_to(TRAVEL_US * 4)
    assert flap.position() == pytest.approx(0.5)
    flap.pwm(50, 5_000_000)  # no servo's signal
    assert flap.reed() == 1


def open_world() -> World:
    world = World()
    world.power_on()
    world.flap.pwm(50, 2_000_000)
    world.kernel.run_to(1_000_000)
    return world


def shut(world: World) -> None:
    world.flap.pwm(50, 1_000_000)
    world.kernel.run_to(world.kernel.now_us + 1_000_000)
    assert world.flap.word() == "shut"


def refused(what: Callable[[], object]) -> str:
    with pytest.raises(Refused) as caught:
        what()
    return caught.value.code


def test_cartons_go_in_and_out_only_through_an_open_flap():
    world = World()
    world.power_on()
    assert refused(lambda: world.hands.drop(300)) == "flap_shut"
    assert refused(lambda: world.hands.lower(300)) == "flap_shut"
    world.flap.pwm(50, 2_000_000)
    world.kernel.run_to(1_000_000)
    hands = world.hands
    (first,) = hands.drop(300)
    assert len(hands.drop(150, 200)) == 2
    assert world.scale.mass_g() == 650
    assert hands.take_out(first) == 300
    assert hands.take_out() == 200
    assert refused(lambda: hands.take_out(first)) == "unknown"
    shut(world)
    assert refused(hands.take_out) == "flap_shut_out"
    assert hands.empty() == 1, "the operator opens it from behind"
    assert world.scale.mass_g() == 0
    assert refused(hands.take_out) == "empty"


def test_what_no_carton_weighs_and_how_many_fit():
    world = open_world()
    for bad in ((0,), (-1,), (60_001,), (300, 0)):
        assert refused(lambda bad=bad: world.hands.drop(*bad)) == "mass"
    world.hands.drop(*[1] * MAX_CARTONS)
    assert refused(lambda: world.hands.drop(1)) == "full"
    assert len(world.hands.cartons) == MAX_CARTONS


def test_a_string_goes_through_the_gap_of_a_shut_flap():
    world = open_world()
    hands = world.hands
    hands.lower(300)
    hands.drop(150)
    shut(world)
    assert hands.pull() == 300, "the one that hangs on a string"
    assert refused(hands.pull) == "no_string"
    assert world.scale.mass_g() == 150
    assert list(hands.cartons.values()) == [150]


def test_a_hand_presses_until_it_lets_go_or_the_flap_shuts():
    world = open_world()
    hands = world.hands
    hands.press(400)
    assert hands.hand == "press"
    assert refused(lambda: hands.lift(100)) == "hand"
    hands.let_go()
    hands.let_go()
    assert (hands.hand, world.scale.mass_g()) == ("", 0)
    hands.press(400)
    shut(world)
    assert (hands.hand, world.scale.mass_g()) == ("", 0)
    assert refused(lambda: hands.press(400)) == "flap_shut_hand"
    hands.lift(250)  # from below
    assert world.scale.mass_g() == -250
    hands.let_go()
    assert world.scale.mass_g() == 0


def test_the_button_bounces_and_interrupts(tmp_path):
    main = """
import asyncio, machine
edges = []
b = machine.Pin(33, machine.Pin.IN, machine.Pin.PULL_UP)
b.irq(lambda p: edges.append(p.value()), machine.Pin.IRQ_FALLING | machine.Pin.IRQ_RISING)
print(b.value())
async def main():
    await asyncio.sleep(2)
    print(edges, b())
asyncio.run(main())
"""
    bin_ = scripted(tmp_path, main)
    with bin_:
        bin_.advance(500)
        bin_.press_button()
        bin_.wait_for_state("halted", 10)
        assert bin_.console_tail()[-3:-1] == ["1", "[0, 1, 0, 1, 0, 1] 1"]


def test_a_display_that_is_unplugged_does_not_answer(tmp_path):
    main = """
import machine, time
i = machine.I2C(0, scl=machine.Pin(22), sda=machine.Pin(21), freq=400000)
print(i.scan(), i.writeto(0x3c, b'\\x00\\xaf'))
time.sleep(1)
print(i.scan())
try:
    i.writevto(0x3c, [b'\\x40', b'\\xff'])
except OSError as e:
    print(e.errno)
"""
    bin_ = scripted(tmp_path, main)
    with bin_:
        bin_.advance(500)
        with bin_.world() as world:
            world.connect_display(on=False)
        bin_.wait_for_state("halted", 10)
        assert bin_.console_tail()[-4:-1] == ["[60] 2", "[]", "19"]


def test_pins_that_a_board_does_not_have(tmp_path):
    main = """
import machine
for what in (lambda: machine.Pin(6), lambda: machine.Pin(40), lambda: machine.Pin(35, machine.Pin.OUT)):
    try:
        what()
    except ValueError as e:
        print(e)
"""
    assert run_to_end(scripted(tmp_path, main)) == [
        "invalid pin",
        "invalid pin",
        "pin can only be input",
    ]


def photo(text: str, fmt: str, *, angle: float = 0, size: int = 900) -> bytes:
    code = Image.open(io.BytesIO(qr_png(text, 8))).convert("RGB")
    sheet = Image.new("RGB", (size, size), (200, 190, 170))
    sheet.paste(code, (size // 4, size // 4))
    out = io.BytesIO()
    sheet.rotate(angle, fillcolor=(120, 120, 120)).save(out, fmt)
    return out.getvalue()


@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "WEBP"])
def test_a_picture_of_a_code_is_read(fmt):
    assert decode(photo("BB1.ABCDEFGH.1.X", fmt, angle=12)) == [b"BB1.ABCDEFGH.1.X"]


def test_a_huge_picture_is_made_smaller_first():
    data = qr_png("SF123", 80)
    assert Image.open(io.BytesIO(data)).width > 2000
    assert decode(data) == [b"SF123"]


def test_a_see_through_picture_is_read_on_white():
    code = Image.open(io.BytesIO(qr_png("SF9", 8))).convert("L")
    ink = Image.new("RGBA", code.size, (0, 0, 0, 255))
    ink.putalpha(code.point(lambda grey: 255 - grey))
    out = io.BytesIO()
    ink.save(out, "PNG")
    assert decode(out.getvalue()) == [b"SF9"]


def test_a_picture_without_a_code_has_none():
    image = Image.new("L", (300, 300), 255)
    ImageDraw.Draw(image).ellipse((40, 40, 200, 200), fill=0)
    out = io.BytesIO()
    image.save(out, "PNG")
    assert decode(out.getvalue()) == []


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b"hello, I am a text", "not a picture"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a picture|damaged"),
        (b"x" * (MAX_IMAGE_BYTES + 1), "takes up to"),
        (qr_png("SF1")[:-40], "damaged|not a picture"),
    ],
)
def test_what_is_no_picture_is_refused_with_a_reason(data, why):
    with pytest.raises(PictureError, match=why):
        decode(data)


def test_a_picture_with_too_many_pixels_is_refused():
    out = io.BytesIO()
    Image.new("1", (9000, 9000)).save(out, "PNG")
    with pytest.raises(PictureError, match=r"81 million pixels \(9000 x 9000\), .* 40 million"):
        decode(out.getvalue())


def frame(now: int, until: int, body: bytes) -> bytes:
    return (
        (len(body) + 16).to_bytes(4, "little")
        + now.to_bytes(8, "little")
        + until.to_bytes(8, "little")
        + body
    )


def test_frames_are_cut_however_they_arrive():
    data = frame(5, 9, b"\x01\x02\x00\x04\x01") + frame(6, 0, b"")
    reader = UpReader()
    got = [f for at in range(len(data)) for f in reader.feed(data[at : at + 1])]
    assert [(f.now_us, f.until_us, f.records) for f in got] == [
        (5, 9, ((1, b"\x04\x01"),)),
        (6, 0, ()),
    ]
    assert down(7, [(2, b"ab")])[: DOWN_HEADER.size] == (13).to_bytes(4, "little") + (7).to_bytes(
        8, "little"
    )


def test_a_broken_frame_is_an_error():
    with pytest.raises(LinkError, match="allowed are"):
        list(UpReader().feed((9_000_000).to_bytes(4, "little") + bytes(16)))
    with pytest.raises(LinkError, match="says 9 bytes"):
        list(UpReader().feed(frame(1, 0, b"\x01\x09\x00\x04")))
