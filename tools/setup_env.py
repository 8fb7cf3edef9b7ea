"""Make what `make run` and `make test` need, with nothing but Python's standard library.

    python3 tools/setup_env.py run     the program's environment in .venv
    python3 tools/setup_env.py test    the same, and what tests and checks need

Python packages come from the lock files, by hash. Debian's packages (brokers and a browser, for
the tests) are installed here where that is allowed; otherwise the exact line to type is printed. No
service is started: tests start brokers of their own.
Run again, it finds its stamp and is done at once.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
TYPINGS = ROOT / "build" / "typings"
LOCKS = {"run": ROOT / "requirements.lock", "test": ROOT / "tests" / "locks" / "test.lock"}
TYPINGS_LOCK = ROOT / "tests" / "locks" / "typings.lock"
PYTHON_MIN = (3, 11)
INSTALL_LIMIT_S = 1200
# Debian's own way to say that packages start no services while they are installed.
POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_DENY = "#!/bin/sh\n# Boxback's set-up is installing brokers for its tests.\nexit 101\n"
SERVICES = {
    "mosquitto": "mosquitto",
    "nats-server": "nats-server",
    "rabbitmq-server": "rabbitmq-server epmd.socket epmd",
}

# What must be there -> Debian's package that brings it. The font is for Chinese in screenshots.
DEBIAN = {
    "mosquitto": "mosquitto",
    "nats-server": "nats-server",
    "rabbitmq-server": "rabbitmq-server",
    "chromium": "chromium",
    "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc": "fonts-wqy-zenhei",
}


def say(text: str) -> None:
    """A line for the person at the terminal."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def give_up(what: str, todo: str) -> None:
    """End with what went wrong and what to type."""
    say(f"\nboxback set-up: {what}\n  what to do: {todo}")
    sys.exit(1)


def check_writable() -> None:
    """Packages, builds and data all go into this folder: give up now if they cannot."""
    for folder in (ROOT, VENV, ROOT / "build"):
        if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
            try:
                user = getpass.getuser()
            except (KeyError, OSError):  # a number without a name, as in some containers
                user = str(os.geteuid())
            give_up(
                f"this folder is not writable for {user}: {folder}",
                f"clone Boxback into a folder of your own, or: sudo chown -R {user} {ROOT}",
            )


def digest(kind: str) -> str:
    """Changes when a lock file, the project file or the Python changes."""
    files = [LOCKS[kind], ROOT / "pyproject.toml"]
    if kind == "test":
        files.append(TYPINGS_LOCK)
    state = hashlib.sha256(f"{sys.version} {ROOT}".encode())
    for file in files:
        state.update(file.read_bytes())
    return state.hexdigest()


def pip(*arguments: str, total: int = 0) -> None:
    """Run the environment's pip; with a `total`, count the packages as they come."""
    command = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install"]
    seen = 0
    tail: list[str] = []
    with subprocess.Popen(
        [*command, "--no-input", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or ():
            tail = [*tail[-15:], line]
            if total and line.startswith(("Collecting ", "Requirement already")):
                seen += 1
                progress(seen, total, package_of(line))
            elif total and line.startswith("Installing collected"):
                progress(total, total, "installing")
    if total:
        sys.stderr.write("\n")
    if process.returncode:
        say("".join(tail))
        give_up("pip could not install the packages", "read its last lines above, then try again")


def package_of(line: str) -> str:
    """What `Collecting X …` and `Requirement already satisfied: X …` are about."""
    return line.removeprefix("Requirement already satisfied:").removeprefix("Collecting").split()[0]


def progress(seen: int, total: int, name: str) -> None:
    """One line that grows; plain lines when nobody is looking at a terminal."""
    if sys.stderr.isatty():
        filled = 30 * seen // total
        bar = "#" * filled + "." * (30 - filled)
        sys.stderr.write(f"\r  [{bar}] {seen}/{total} {name:<34.34}")
        sys.stderr.flush()
    elif seen % 10 == 0 or seen == total:
        say(f"  {seen}/{total} {name}")


def make_environment() -> None:
    """An empty virtual environment, made new when its Python is not this one."""
    if sys.version_info < PYTHON_MIN:
        have = ".".join(map(str, sys.version_info[:3]))
        give_up(f"Python {have} is too old, 3.11 is needed", "make run PYTHON=python3.11")
    try:
        import ensurepip  # noqa: F401, PLC0415  (Debian leaves it out of its python3 package)
        import venv  # noqa: PLC0415
    except ImportError:
        package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        give_up("Python's venv is not installed", f"sudo apt-get install -y {package}")
    if not (VENV / "bin" / "python").exists():
        venv.EnvBuilder(with_pip=True, clear=True).create(VENV)


def missing_debian() -> list[str]:
    """Debian packages whose command or file is not there."""
    return [
        package
        for thing, package in DEBIAN.items()
        if not (Path(thing).exists() if thing.startswith("/") else find_command(thing))
    ]


def find_command(name: str) -> str | None:
    """Daemons live in /usr/sbin, which is not on everybody's path."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


@contextlib.contextmanager
def no_services(packages: list[str]) -> Iterator[None]:
    """These packages start no service, now or with the machine: it would hold the port that
    `boxback run` wants. A policy that is there stays.
    """
    theirs = POLICY.exists()
    if not theirs:
        POLICY.write_text(POLICY_DENY)
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if not theirs:
            POLICY.unlink(missing_ok=True)
        for name in services_of(packages):
            subprocess.run(
                ["systemctl", "disable", name], capture_output=True, timeout=60, check=False
            )


def services_of(packages: list[str]) -> list[str]:
    """Services that come with these packages, where there is something that starts services."""
    if not find_command("systemctl"):
        return []
    return " ".join(SERVICES[name] for name in packages if name in SERVICES).split()


def install_debian() -> None:
    """Install what the tests need of Debian, or print the line that does."""
    packages = missing_debian()
    if not packages:
        return
    line = "apt-get install -y --no-install-recommends " + " ".join(packages)
    if not shutil.which("apt-get"):
        give_up(f"missing: {' '.join(packages)} (names as in Debian)", "install them your way")
    if os.geteuid() != 0:
        services = " ".join(services_of(packages))
        off = f" && sudo systemctl disable --now {services}" if services else ""
        give_up(f"missing: {' '.join(packages)}", f"sudo {line}{off}")
    say(f"Debian packages for the tests: {' '.join(packages)} …")
    with no_services(packages):
        apt_get(line)


def apt_get(line: str) -> None:
    """Look for news and install; gives up with apt-get's own last words."""
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    for command in ("apt-get update", line):
        done = subprocess.run(
            command.split(),
            env=env,
            capture_output=True,
            text=True,
            timeout=INSTALL_LIMIT_S,
            check=False,
        )
        if done.returncode:
            say(done.stdout[-1500:] + done.stderr[-1500:])
            give_up(f"`{command}` failed", "read its last lines above, then try again")


def main() -> None:
    """Set up `run` or `test`."""
    kind = sys.argv[1] if len(sys.argv) == 2 else ""
    if kind not in LOCKS:
        sys.exit("usage: python3 tools/setup_env.py run|test")
    check_writable()
    if kind == "test":
        install_debian()
    stamp = VENV / f".boxback-{kind}"
    wanted = digest(kind)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    started_s = time.monotonic()
    say(f"Setting up .venv for `{kind}` (once; needs the package index) …")
    make_environment()
    lock = LOCKS[kind]
    total = sum("==" in line for line in lock.read_text().splitlines())
    pip("--require-hashes", "-r", str(lock), total=total)
    pip("--no-deps", "--no-build-isolation", "-e", str(ROOT))
    if kind == "test":
        shutil.rmtree(TYPINGS, ignore_errors=True)
        pip("--no-deps", "--require-hashes", "--target", str(TYPINGS), "-r", str(TYPINGS_LOCK))
    stamp.write_text(wanted)
    say(f"Set up in {time.monotonic() - started_s:.0f} s.")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nStopped; run it again to go on.")
