"""Debian's docker-registry on the loopback, for as long as a test needs it."""

from __future__ import annotations

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.interop.parts import free_port, program

START_S = 20.0
CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {root}}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@contextmanager
def running_registry(folder: Path) -> Iterator[str]:
    """HOST:PORT of a registry that keeps its content in a folder; it ends with the block."""
    binary = program("docker-registry")
    port = free_port()
    config = folder / "registry.yml"
    config.write_text(CONFIG.format(root=folder / "content", port=port))
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen([binary, "serve", config], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            _wait(process, port, folder / "registry.log")
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    ends = time.monotonic() + START_S
    while time.monotonic() < ends:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            assert process.poll() is None, log.read_text(errors="replace")
            time.sleep(0.05)
    raise AssertionError(f"the registry did not start within {START_S:.0f} s: {log.read_text(errors='replace')}")
