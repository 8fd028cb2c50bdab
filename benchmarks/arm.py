"""What int8 saves on ARM: instructions per inference on an emulated Cortex-A53 and Cortex-A76.

    python -m benchmarks.arm

Smallest counts of `edgekit bench` on `qemu-system:`, one thread. The A53 has no dot-product instructions (Armv8.0), the
A76 has them (asimddp). A count is no time: the emulator knows no cache, no pipeline and no clock.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks import table
from benchmarks.nets.compressed import compressed
from edgekit.bench.measure import bench
from edgekit.types.bench import BenchReport, BenchSettings
from edgekit.units import count

NETS = {"lite0": "EfficientNet-Lite0", "resnet20": "ResNet-20", "keywords": "DS-CNN keywords"}
CPUS = ("cortex-a53", "cortex-a76")
FLOAT = "model.fp32.onnx"
FILES = (FLOAT, "model.int8.onnx", "model.arm.int8.onnx", "model.int8.tflite")
HEADER = ("net", "file", *(f"{cpu}: {what}" for cpu in CPUS for what in ("instructions", "of float's")), "A53 / A76")


def main() -> None:
    """Count, and write the table."""
    rows, data = [], {}
    for net, title in NETS.items():
        paths = [compressed(net) / name for name in FILES]
        report = bench(paths, [f"qemu-system:{cpu}" for cpu in CPUS], settings=BenchSettings())
        counts = {(cpu, path.name): _count(report, cpu, path) for cpu in CPUS for path in paths}
        for path in paths:
            cells = []
            for cpu in CPUS:
                own = counts[cpu, path.name]
                cells += [count(own), f"{own / counts[cpu, FLOAT]:.3f}"]
            first, second = (counts[cpu, path.name] for cpu in CPUS)
            rows.append((title, f"`{path.name}`", *cells, f"{first / second:.2f}"))
            data[f"{net}/{path.name}"] = {cpu: counts[cpu, path.name] for cpu in CPUS}
            print(rows[-1], flush=True)
    text = table.markdown(HEADER, rows)
    print(text)
    table.keep("arm", data, text)


def _count(report: BenchReport, cpu: str, path: Path) -> float:
    """Smallest count of a file on a CPU."""
    found = next(one for one in report.measurements if one.artifact == path.name and one.device == f"qemu-system:{cpu}")
    if not found.valid or found.summary is None:
        raise SystemExit(f"{path.name} on {cpu}: {'; '.join(found.invalid)}")
    return found.summary.minimum


if __name__ == "__main__":
    main()
