"""One virtual environment per peer, from its own pinned requirements, so that no peer's pins bend another's.

    python -m benchmarks.peers.environments [NAME ...]

They lie in build/peers/NAME. torch is installed first, alone: where a machine offers the CPU build of the pinned
version, that build is then in place before anything else can ask for another.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent / "requirements"
FOLDER = Path(__file__).resolve().parents[2] / "build" / "peers"


def names() -> list[str]:
    """Every peer that has an environment of its own."""
    return sorted(path.stem for path in REQUIREMENTS.glob("*.txt"))


def python(name: str) -> Path:
    """The interpreter of a peer's environment; it exists once `make` has run."""
    return FOLDER / name / "bin" / "python"


def is_ready(name: str) -> bool:
    """Whether the environment holds exactly what the requirements say now."""
    stamp = FOLDER / name / ".installed"
    return stamp.exists() and stamp.read_text(encoding="utf-8") == _digest(name)


def make(name: str) -> None:
    """Create the environment, or bring it up to its requirements.

    Raises:
        subprocess.CalledProcessError: pip or venv failed; its output went to stderr.
    """
    if is_ready(name):
        return
    print(f"making build/peers/{name}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", str(FOLDER / name)], check=True)
    pins = (REQUIREMENTS / f"{name}.txt").read_text(encoding="utf-8").split()
    first, rest = split_torch(pins)
    for group in filter(None, (first, rest)):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as listing:
            listing.write("\n".join(group))
            listing.flush()
            command = [str(python(name)), "-m", "pip", "install", "--quiet", "--no-cache-dir", "-r", listing.name]
            subprocess.run(command, check=True, stdout=sys.stderr)
    (FOLDER / name / ".installed").write_text(_digest(name), encoding="utf-8")


def split_torch(pins: list[str]) -> tuple[list[str], list[str]]:
    """The pin of torch itself, and all others."""
    return [pin for pin in pins if pin.startswith("torch==")], [pin for pin in pins if not pin.startswith("torch==")]


def _digest(name: str) -> str:
    return hashlib.sha256((REQUIREMENTS / f"{name}.txt").read_bytes()).hexdigest()


def main() -> None:
    """Make the environments named, or all."""
    for name in sys.argv[1:] or names():
        make(name)


if __name__ == "__main__":
    main()
