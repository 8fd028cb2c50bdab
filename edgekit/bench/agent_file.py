"""The agent as one file: the modules of `edgekit.agent` in a zip that Python runs as it is.

The zip carries its own empty `edgekit` package, which stands before anything installed on the device. Same modules,
same bytes: times are fixed and entries sorted.
"""

from __future__ import annotations

import io
import zipfile
from importlib import resources

NAME = "agent.pyz"
_MAIN = "from edgekit.agent.main import run\n\nrun()\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)


def agent_bytes() -> bytes:
    """Contents of `agent.pyz`."""
    folder = resources.files("edgekit.agent")
    modules = {
        f"edgekit/agent/{entry.name}": entry.read_text(encoding="utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".py")
    }
    entries = {"__main__.py": _MAIN, "edgekit/__init__.py": "", **modules}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(entries):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, entries[name])
    return buffer.getvalue()
