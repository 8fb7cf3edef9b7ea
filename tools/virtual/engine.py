"""The thread that lets time pass: it runs the child, the link and the world in lock-step.

Real time: the world's clock is the host's; events go to the board when they happen.
Virtual time: the clock stands still while the board computes and jumps to the next event when the
board rests, but never past what has been granted, so that a test decides when time passes.

One file in spite of its length: all of it shares one lock and one state of the child, and the order
of its steps is what makes virtual time repeatable.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tools.virtual import wire
from tools.virtual.console import Console
from tools.virtual.process import Child
from tools.virtual.world.sntp import SntpServer, answer
from tools.virtual.world.world import World

PWRON_RESET, HARD_RESET, WDT_RESET = 1, 2, 3
RESTART_US = 250_000  # ROM and second-stage loader, before the interpreter starts
TICKS_NEAR_WRAP = 0x3FFFFFFF - 30_000  # ticks begin half a minute before they wrap: found early
VIRTUAL_BEGIN_UNIX_US = 1_795_000_000_000_000  # virtual time begins on one fixed day of 2026
UNIX_TO_2000_US = 946_684_800_000_000
IDLE_SELECT_S = 5.0
READ_BYTES = 65536
NTP_NAME, NTP_PORT = "ntp.test", 123  # the time server of a network inside the world
SPEED = 20  # virtual time beside real sockets passes at most so many times faster
HUNG_S = 30.0  # virtual time: a board that computes so long without resting is hung


class Engine(threading.Thread):
    """Owns everything that moves. All other threads use `lock` and then `wake()`."""

    def __init__(
        self,
        *,
        flash: Path,
        nvs: Path,
        console: Console,
        make_world: Callable[[Callable[[], None]], World],
        unique_id: str,
        virtual: bool,
        seed: int,
        heap: str,
        name: str,
    ) -> None:
        super().__init__(name=f"virtual bin {name}", daemon=True)
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.version = 0
        self.world = make_world(self._watchdog)
        self.console = console
        self.virtual = virtual
        self.state = "off"  # off, starting, running, halted
        self.resets = 0
        self.frames = 0  # how often the board has spoken: grows fast when something spins
        self.failure: BaseException | None = None
        self.sntp = SntpServer(self.unix_us)
        self.world.net.datagrams(NTP_NAME, NTP_PORT, self._answer_time)
        self._flash, self._nvs, self._heap = flash, nvs, heap
        self._unique_id, self._seed = unique_id, seed
        self._child: Child | None = None
        self._reader = wire.UpReader()
        self._cause = PWRON_RESET
        self._next_cut: tuple[int, bool] | None = None
        self._until_us: int | None = None  # virtual: the board rests until then
        self._granted_us = 0
        self._heard_s = time.monotonic()
        self._begin_s = time.monotonic()
        self._stopping = False
        self._closed = True
        self._spawn = False
        self._selector: selectors.BaseSelector
        self._wake_read = self._wake_write = -1

    def open(self) -> None:
        """Take what start() needs of the system: the time server's port, a pipe to be woken by."""
        self.sntp.open()
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._closed = False

    def close(self) -> None:
        """Give it back. Called by the thread at its end, and by nobody else once it has begun."""
        if not self._closed:
            self._closed = True
            self._selector.close()
            self.sntp.close()
            os.close(self._wake_read)
            os.close(self._wake_write)

    # -- for other threads (with the lock held) --------------------------------------------------

    def unix_us(self) -> int:
        """The wall clock of the world's network."""
        if self.virtual:
            return VIRTUAL_BEGIN_UNIX_US + self.world.kernel.now_us
        return time.time_ns() // 1000

    def wake(self) -> None:
        """Something was done to the world: look at it now."""
        if not self._closed:
            with contextlib.suppress(BlockingIOError):  # full: it is awake already
                os.write(self._wake_write, b"!")

    def sync(self) -> None:
        """Bring the world's clock up to now, before something is done to it (real time)."""
        if not self.virtual:
            self.world.kernel.run_to(int((time.monotonic() - self._begin_s) * 1e6))

    def power_on(self, cut: tuple[int, bool] | None = None) -> None:
        """Plug in; with `cut`, power fails at that flash operation counted from here."""
        if self.state != "off":
            return
        self.sync()
        self.world.power_on()
        self._cause = PWRON_RESET
        self._next_cut = cut
        self._start_soon()

    def power_off(self) -> None:
        """Pull the plug, at this very instant."""
        if self.state == "off":
            return
        self.state = "off"
        self._spawn = False
        self._until_us = None
        self.sync()
        self.world.power_off()
        if self._child is not None:
            self._child.kill()
        self.console.mark("power off")

    def cut_at(self, operation: int, *, torn: bool) -> None:
        """Power fails at the `operation`-th flash operation from now (1 = the next)."""
        body = operation.to_bytes(4, "little") + bytes([torn])
        self.world.outbox.append((wire.Event.CUT, body))

    def child_pid(self) -> int:
        """The interpreter's process, 0 when the board is off."""
        return self._child.process.pid if self._child is not None else 0

    def grant(self, us: int) -> int:
        """Virtual time: allow `us` more; returns the time when they are used up."""
        self._granted_us = max(self._granted_us, self.world.kernel.now_us) + us
        return self._granted_us

    def settled(self) -> bool:
        """Virtual time: nothing can happen any more without a further grant."""
        if self._spawn or self.world.kernel.now_us < self._granted_us:
            return False
        return self._child is None or self.state == "halted" or self._until_us is not None

    def stop(self) -> None:
        """End the thread and the child."""
        with self.lock:
            self._stopping = True
            if self._child is not None:
                self._child.kill()
            self.wake()

    # -- the thread ------------------------------------------------------------------------------

    def run(self) -> None:
        """Until stop()."""
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._drain_wake)
        self._selector.register(self.sntp.socket, selectors.EVENT_READ, self._serve_time)
        try:
            while not self._stopping:
                with self.lock:
                    timeout_s = self._step()
                for key, _ in self._selector.select(timeout_s):
                    with self.lock:
                        key.data()
        except BaseException as error:
            self.failure = error
            raise
        finally:
            with self.lock:
                self._stopping = True
                self._end_child()
                self.state = "off"
                self.close()
                self._touch()

    def _step(self) -> float:
        """Do all that can be done now; return how long nothing will happen by itself (s)."""
        if self._spawn:
            self._start_child()
        if self.virtual:
            return self._step_virtual()
        self.sync()
        self._send(self.world.kernel.now_us)
        due = self.world.kernel.next_us()
        if self._spawn:
            return 0.0
        if due is None:
            return IDLE_SELECT_S
        return min(IDLE_SELECT_S, max(0.0, (due - self.world.kernel.now_us) / 1e6))

    def _step_virtual(self) -> float:
        kernel = self.world.kernel
        while not self._spawn:
            resting = self._until_us is not None
            if self._child is not None and self.state != "halted" and not resting:
                self._look_for_hang()
                return 0.5  # the board computes; only it can go on
            if resting and self.world.outbox:
                self._answer()
                continue
            ends = [self._granted_us]
            due = kernel.next_us()
            if due is not None:
                ends.append(due)
            if self._until_us is not None:
                ends.append(self._until_us)
            # Something may be due now although the grant is used up: a button pressed this instant.
            target = max(min(ends), kernel.now_us)
            if target > kernel.now_us or (due is not None and due <= target):
                kernel.run_to(target)
            if self._until_us is not None and kernel.now_us >= self._until_us:
                self._answer()
            elif not (self._until_us is not None and self.world.outbox) and (
                kernel.now_us >= self._granted_us and (due is None or due > kernel.now_us)
            ):
                self._touch()
                return IDLE_SELECT_S
        return 0.0

    def _look_for_hang(self) -> None:
        hung = time.monotonic() - self._heard_s > HUNG_S
        if hung and self.world.board.wdt_ms:
            self._watchdog()

    def _answer(self) -> None:
        self._until_us = None
        self._heard_s = time.monotonic()
        self._send(self.world.kernel.now_us, always=True)

    def _send(self, now_us: int, *, always: bool = False) -> None:
        if self._child is None or self.state != "running":
            return
        if not self.world.outbox and not always:
            return
        events, self.world.outbox = self.world.outbox, []
        for kind, body in events:
            if kind == wire.Event.TYPED:  # just before the board is told of it, so that it is there
                self._child.type(body)
        try:
            self._child.link.sendall(wire.down(now_us, events))
        except (BlockingIOError, BrokenPipeError, ConnectionError):
            # Full: the board has not listened for a very long time, as a hung chip does.
            self.world.note("the board does not listen; events are lost")

    # -- the child -------------------------------------------------------------------------------

    def _start_soon(self) -> None:
        self.state = "starting"
        self._spawn = True
        self.wake()
        self._touch()

    def _start_child(self) -> None:
        self._end_child()  # a killed one whose end was not seen yet
        self._spawn = False
        self._reader = wire.UpReader()
        self._until_us = None
        self._heard_s = time.monotonic()
        world = self.world
        now = world.kernel.now_us
        if self._cause == PWRON_RESET:
            world.board.rtc_us = -now  # a clock without power begins at 2000-01-01
        self.console.mark(f"start, cause {self._cause}")
        world.say(f"start {self._cause}")
        self._child = Child.start(self._flash, self._nvs, self._heap)
        rtc = world.board.rtc_us or 0
        greeting = wire.hello(
            {
                "virtual": self.virtual,
                "now": now,
                "ticks0": TICKS_NEAR_WRAP,
                "speed": SPEED,
                "seed": self._seed,
                "cause": self._cause,
                "uid": self._unique_id,
                "rtc_memory": world.board.rtc_memory.hex(),
                "rtc_us": rtc if self.virtual else rtc + now,
                "hx711": list(world.hx711_pins()),
                "i2c": world.i2c_addresses(),
                "levels": {str(pin): level for pin, level in world.levels().items()},
                "net": world.net.inside,
                "cut": list(map(int, self._next_cut)) if self._next_cut else None,
            }
        )
        self._next_cut = None
        self._child.link.sendall(greeting)
        self._selector.register(self._child.link, selectors.EVENT_READ, self._read_link)
        self._selector.register(self._child.console, selectors.EVENT_READ, self._read_console)
        self.state = "running"
        self._touch()

    def _read_link(self) -> None:
        if self._child is None:
            return
        try:
            data = self._child.link.recv(READ_BYTES)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._end_child()
            return
        if self.state != "running":
            return  # what a dead board said last is not heard
        self._heard_s = time.monotonic()
        self.sync()
        for frame in self._reader.feed(data):
            self._take(frame)
        if not self.virtual:  # in virtual time nobody looks before time has come to rest
            self._touch()

    def _take(self, frame: wire.Frame) -> None:
        self.frames += 1
        if self.virtual and frame.now_us > self.world.kernel.now_us:
            self.world.kernel.run_to(frame.now_us)
        for kind, body in frame.records:
            self.world.apply(kind, body)
        if frame.until_us:
            self._until_us = max(frame.until_us, frame.now_us)

    def _read_console(self) -> None:
        if self._child is None:
            return
        try:
            data = os.read(self._child.console, READ_BYTES)
        except BlockingIOError:
            return
        if data:
            self.console.feed(data)
            self._touch()
        else:
            self._selector.unregister(self._child.console)

    def _end_child(self) -> None:
        """The board has stopped: find out why, and start it again if a reset was the reason."""
        child, self._child = self._child, None
        if child is None:
            return
        self._selector.unregister(child.link)
        self._until_us = None
        if self.state != "running":
            child.kill()
        code = child.wait()
        self._drain_console(child)
        child.close()
        world = self.world
        if self.state == "off" or self._stopping or self._spawn:
            pass
        elif world.board.cut:
            self.state = "off"
            world.power_off()
            self.console.mark("power cut at a flash operation")
        elif world.board.resetting:
            self._restart(HARD_RESET)
        elif self._cause == WDT_RESET and self.state == "starting":
            self._restart(WDT_RESET)
        else:
            self.state = "halted"
            self.console.mark(f"main.py has ended, exit code {code}")
        self._touch()

    def _drain_console(self, child: Child) -> None:
        if child.console in self._selector.get_map():
            self._selector.unregister(child.console)
        while True:
            try:
                data = os.read(child.console, READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                return
            self.console.feed(data)

    def _watchdog(self) -> None:
        """The world's clock has passed the deadline: the chip resets itself."""
        if self.state not in ("running", "halted"):
            return
        self.world.say("watchdog")
        self.console.mark("watchdog reset")
        self.state = "starting"
        self._cause = WDT_RESET
        self._until_us = None  # virtual time stands until the end of the child was seen
        if self._child is not None:
            self._child.kill()  # its end is seen on the link, and leads to the restart
        else:
            self._restart(WDT_RESET)

    def _restart(self, cause: int) -> None:
        self.state = "starting"
        self._cause = cause
        self.resets += 1
        self.world.board_started()
        self.world.kernel.after(RESTART_US, self._restart_due)

    def _restart_due(self) -> None:
        if self.state == "starting":
            self._start_soon()

    # -- small things ----------------------------------------------------------------------------

    def _touch(self) -> None:
        self.version += 1
        self.changed.notify_all()

    def _drain_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)

    def _answer_time(self, packet: bytes) -> bytes | None:
        return answer(packet, self.unix_us()) if self.sntp.on else None

    def _serve_time(self) -> None:
        self.sync()
        self.sntp.serve()
