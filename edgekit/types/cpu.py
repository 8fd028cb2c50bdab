"""What Linux's /proc/cpuinfo says of a CPU, as far as it decides int8 kernels."""

from __future__ import annotations

ISA = (
    "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8",
    "asimd", "asimddp", "i8mm", "sve", "sve2",
)  # fmt: skip
"""Extensions with kernels of their own in MLAS (ONNX Runtime) or XNNPACK; Linux spelling."""


def read_cpuinfo(text: str) -> tuple[str, frozenset[str]]:
    """CPU name and extension flags from the text of Linux's /proc/cpuinfo, x86 or ARM.

    ARM kernels give no model name: the board ("Model") or the implementer and part numbers stand in for it.
    """
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip().lower(), value.strip())
    flags = frozenset((fields.get("flags") or fields.get("features") or "").split())
    name = fields.get("model name") or _last_value(text, "Model")
    if not name and "cpu part" in fields:
        name = f"ARM implementer {fields.get('cpu implementer', '?')} part {fields['cpu part']}"
    return name, flags


def _last_value(text: str, key: str) -> str:
    """Value of a key whose spelling matters: Raspberry Pi kernels end with "Model : Raspberry Pi 4 Model B"."""
    values = [line.partition(":")[2].strip() for line in text.splitlines() if line.partition(":")[0].strip() == key]
    return values[-1] if values else ""
