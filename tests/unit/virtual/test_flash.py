"""Flash: the image the chip would have, power cuts at every operation, NVS."""

from __future__ import annotations

import pytest

from tests.support.virtual import empty_firmware, lab, run_to_end, scripted
from tools.technician.build import (
    BuildError,
    build_firmware,
    make_flash_image,
    update_flash_image,
)
from tools.virtual.flashlab import FlashLab, LabError
from tools.virtual.nvs import read_nvs, update_nvs

WRITE_THEN_RENAME = """
import os
with open('/x.new', 'wb') as f:
    f.write(b'new' * 700)
os.rename('/x.new', '/x')
"""
READ = """
with open('/x', 'rb') as f:
    data = f.read()
print('old' if data == b'old' * 700 else 'new' if data == b'new' * 700 else 'broken')
"""


@pytest.fixture
def bench(tmp_path) -> FlashLab:
    bench = lab(tmp_path)
    bench.run("with open('/x', 'wb') as f:\n    f.write(b'old' * 700)\n")
    return bench


def test_the_image_mounts_in_the_interpreter_and_round_trips(tmp_path):
    content = {"/a.txt": b"hello", "/deep/er/b.bin": bytes(range(256)) * 40}
    image = make_flash_image(tmp_path / "f.img", empty_firmware(tmp_path), content)
    bench = FlashLab(tmp_path / "again", image)
    out = bench.run(
        "import os\nprint(open('/a.txt').read(), os.stat('/deep/er/b.bin')[6], os.statvfs('/')[:3])\n"
        "with open('/a.txt', 'w') as f:\n    f.write('from inside')\n"
    ).output
    assert out.split() == ["hello", "10240", "(4096,", "4096,", "512)"]
    assert "from inside" in bench.run("print(open('/a.txt').read())").output


def test_the_firmware_is_on_it_compiled(tmp_path):
    firmware = build_firmware()
    assert (firmware / "boxbin" / "board.mpy").read_bytes()[:1] == b"M"
    assert not list(firmware.rglob("boxbin/**/*.py"))
    bench = FlashLab(tmp_path / "lab", make_flash_image(tmp_path / "f.img", firmware))
    out = bench.run(
        "import sys, os\nsys.path.insert(0, '/app/a')\nfrom boxbin import board\n"
        "print(board.HX711_DOUT, 'main.py' in os.listdir('/'))"
    ).output
    assert out.split() == ["19", "True"]


def test_updating_an_image_keeps_what_the_bin_wrote(tmp_path):
    first = tmp_path / "one"
    first.mkdir()
    (first / "boxbin").mkdir()
    (first / "boxbin" / "old.mpy").write_bytes(b"old")
    (first / "main.py").write_text("1")
    image = make_flash_image(tmp_path / "f.img", first)
    bench = FlashLab(tmp_path / "lab", image)
    bench.run("with open('/journal', 'w') as f:\n    f.write('lines')\n")
    (first / "boxbin" / "old.mpy").unlink()
    (first / "boxbin" / "new.mpy").write_bytes(b"new")
    changed = update_flash_image(bench.flash, first)
    assert changed == ["/app/a/boxbin/old.mpy", "/app/a/boxbin/new.mpy"]
    assert update_flash_image(bench.flash, first) == []
    out = bench.run("import os\nprint(open('/journal').read(), os.listdir('/app/a/boxbin'))").output
    assert out.split() == ["lines", "['new.mpy']"]


def test_an_image_of_the_wrong_size_is_refused(tmp_path):
    path = tmp_path / "f.img"
    path.write_bytes(bytes(10))
    with pytest.raises(BuildError, match="10 bytes, expected 2097152"):
        update_flash_image(path, tmp_path)


def test_power_cut_at_every_operation_leaves_the_old_or_the_new(bench):
    seen = [
        (op, torn, bench.run(READ).output.strip()) for op, torn in bench.cuts(WRITE_THEN_RENAME)
    ]
    assert len(seen) >= 10
    assert {what for _, _, what in seen} <= {"old", "new"}
    assert seen[0][2] == "old"
    bench.run(WRITE_THEN_RENAME)
    assert bench.run(READ).output.strip() == "new"


def test_a_careless_write_is_caught_by_the_same_cuts(bench):
    """The cuts bite: removing before writing loses the content at some of them."""
    careless = (
        "import os\nos.remove('/x')\nwith open('/x', 'wb') as f:\n    f.write(b'new' * 700)\n"
    )
    probe = "import os\nprint('x' in os.listdir('/'))"
    seen = {bench.run(probe).output.strip() for _ in bench.cuts(careless)}
    assert seen == {"True", "False"}


def test_a_failing_script_is_an_error_not_a_cut(bench):
    with pytest.raises(LabError, match="ZeroDivisionError"):
        bench.run("1 / 0")
    with pytest.raises(LabError, match="0 flash operations"):
        next(bench.cuts("print('nothing')"))


def test_what_was_shown_before_the_cut_was_seen(tmp_path):
    main = """
import machine, neopixel
n = neopixel.NeoPixel(machine.Pin(4), 8)
n.fill((0, 200, 0)); n.write()
with open('/x', 'w') as f: f.write('1' * 300)
n.fill((200, 0, 0)); n.write()
"""
    bin_ = scripted(tmp_path, main, power=False)
    with bin_:
        bin_.power_on(cut_at=1)
        bin_.wait_for_state("off", 5)
        assert any("pixels" in text for _, text in bin_.log())
        writes = [text for _, text in bin_.log() if text.startswith("pixels")]
        assert len(writes) == 1
        bin_.power_on()
        bin_.wait_for_state("halted", 5)
        assert bin_.lamp() == [(200, 0, 0)] * 8


def test_a_cut_can_be_asked_of_a_running_bin(tmp_path):
    main = """
import time
for i in range(100):
    time.sleep_ms(100)
    with open('/n', 'w') as f: f.write(str(i))
    print(i)
"""
    with scripted(tmp_path, main) as bin_:
        bin_.wait_for_console("3", 5)
        bin_.power_cut_at(1, torn=True)
        bin_.wait_for_state("off", 5)
        assert "99" not in bin_.console_tail()


NVS = """
from esp32 import NVS
n = NVS('boxback')
def get(key):
    try:
        return n.get_i32(key)
    except OSError as e:
        return e.args[0]
"""


def test_nvs_keeps_only_what_was_committed(tmp_path):
    bench = lab(tmp_path)
    bench.run(
        NVS + "n.set_i32('a', 1)\nn.set_blob('b', b'\\x00\\xff')\nn.commit()\nn.set_i32('a', 2)"
    )
    out = bench.run(
        NVS + "b = bytearray(4)\nprint(get('a'), n.get_blob('b', b), bytes(b), get('c'))"
    )
    assert out.output.strip() == r"1 2 b'\x00\xff\x00\x00' -4354"
    bench.run(NVS + "n.erase_key('a')\nn.commit()")
    assert bench.run(NVS + "print(get('a'))").output.strip() == "-4354"


def test_a_power_cut_at_commit_keeps_the_old(tmp_path):
    bench = lab(tmp_path)
    bench.run(NVS + "n.set_i32('a', 1)\nn.commit()")
    cuts = list(bench.cuts(NVS + "n.set_i32('a', 2)\nn.commit()"))
    assert cuts == [(1, False), (1, True)]
    assert bench.run(NVS + "print(get('a'))").output.strip() == "1"


def test_nvs_refuses_what_the_chip_refuses(tmp_path):
    out = lab(tmp_path).run(
        NVS
        + """
for what in (lambda: n.set_i32('sixteen_letters_', 1), lambda: n.get_blob('k', bytearray(1)),
             lambda: n.erase_key('none')):
    n.set_blob('k', b'12')
    try:
        what()
        print('taken')
    except OSError as e:
        print(e.args[0])
"""
    )
    assert out.output.split() == ["-4361", "-4364", "-4354"]


def test_nvs_from_outside(tmp_path):
    path = tmp_path / "nvs.json"
    update_nvs(path, {"bin": b"B-1", "port": 5})
    update_nvs(path, {"port": 6})
    assert read_nvs(path) == {"bin": b"B-1", "port": 6}
    with pytest.raises(ValueError, match="16 characters"):
        update_nvs(path, {"x" * 16: 1})


def test_the_bin_finds_its_identity_in_nvs(tmp_path):
    main = """
from esp32 import NVS
n = NVS('boxback')
b = bytearray(64)
print(bytes(b[:n.get_blob('bin', b)]), n.get_i32('broker_port'), n.get_blob('key', b))
"""
    assert run_to_end(scripted(tmp_path, main)) == ["b'B-7K2QM' 1883 32"]
