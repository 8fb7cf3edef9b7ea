"""Renew the lock files: versions and hashes, no addresses.

    make lock

Uses pip-tools out of a throw-away environment, so that it is no dependency of the project.
`requirements.lock` is what `make run` installs; `tests/locks/test.lock` adds tests and checks with
the same versions; `tests/locks/typings.lock` pins the MicroPython stubs, which are installed into
build/typings, never into the environment (they would shadow the standard library's types).
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ROOT / "tests" / "locks"
STUBS = ("micropython-esp32-stubs==1.29.0.post1", "micropython-stdlib-stubs==1.29.0.post2")
PIP_TOOLS = "pip-tools>=7.6"
OPTIONS = (
    *("--quiet", "--generate-hashes", "--allow-unsafe", "--strip-extras", "--no-header"),
    *("--no-emit-index-url", "--no-emit-find-links", "--no-emit-options", "--no-annotate"),
    "--build-deps-for=editable",
)


def run(*command: str) -> None:
    """Run a program in the project's folder; raises CalledProcessError."""
    subprocess.run(command, check=True, cwd=ROOT)


def lock_stubs(python: str, folder: Path) -> str:
    """The lock of the stubs: each one's own file and its hash."""
    run(python, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(folder), *STUBS)
    lines = []
    for stub in STUBS:
        name = stub.partition("==")[0].replace("-", "_")
        (file,) = folder.glob(f"{name}-*")
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        lines += [f"{stub} \\", f"    --hash=sha256:{digest}"]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write all three lock files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        venv.EnvBuilder(with_pip=True).create(folder / "venv")
        python = str(folder / "venv" / "bin" / "python")
        run(python, "-m", "pip", "install", "--quiet", PIP_TOOLS)
        compile_ = (python, "-m", "piptools", "compile", *OPTIONS)
        sys.stderr.write("requirements.lock …\n")
        run(*compile_, "-o", "requirements.lock", "pyproject.toml")
        sys.stderr.write("tests/locks/test.lock …\n")
        test = str(LOCKS / "test.lock")
        run(*compile_, "--extra", "test", "-c", "requirements.lock", "-o", test, "pyproject.toml")
        (LOCKS / "typings.lock").write_text(lock_stubs(python, folder))


if __name__ == "__main__":
    main()
