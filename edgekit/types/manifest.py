"""Manifest: what a bundle holds, what each variant of it needs, and how to see that it runs as it should.

It is the noun that `edgekit pack` makes, that a signature covers, and that a node chooses by. On disk it is
`manifest.json`, canonical JSON (RFC 8785) under the schema "edgekit.manifest/1", which ships beside `edgekit.bundle`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from edgekit.types.blob import Addresses, Blob, Pieces
from edgekit.types.spec import TensorSpec

SCHEMA = "edgekit.manifest/1"
FILE_NAME = "manifest.json"
NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*/[a-z0-9]+(?:[._-][a-z0-9]+)*")
"""FAMILY/NAME. The family is the delegated role of the channel that may sign it."""
VARIANT_NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    r"(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?"
)
"""The expression that semver.org 2.0.0 suggests."""
FILE_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}(?:/[A-Za-z0-9_][A-Za-z0-9._-]{0,127}){0,3}")
"""A relative path of a file: no dot files, no "..", no separators but "/", nothing that a shell or Windows minds."""


class Role(Enum):
    """What a file of a bundle is for."""

    MODEL = "model"
    GOLDEN = "golden"
    CARD = "card"
    BOM = "bom"
    RECIPE = "recipe"
    REPORT = "report"
    LICENSE = "license"


class Mode(Enum):
    """How an answer is held against the publisher's.

    EXACT: equal bit for bit. LSB: integers, or floats divided by the output's scale, differ by at most `bound` steps.
    ATOL: floats differ by at most `bound`.
    """

    EXACT = "exact"
    LSB = "lsb"
    ATOL = "atol"


@dataclass(frozen=True)
class BundleFile:
    """One file of a bundle.

    Attributes:
        path: Relative, see FILE_PATH; unique also where letters' case does not count.
        role: What it is for.
        media_type: For example "application/vnd.onnx" or "application/json".
        size_bytes: Its size.
        sha256: Its digest, lower-case hex: also that of the OCI layer and of the signature.
        pieces: Digests of its pieces where it is larger than one.
        addresses: What IPFS and BitTorrent call it; None in bundles that edgekit 0.1 packed.
    """

    path: str
    role: Role
    media_type: str
    size_bytes: int
    sha256: str
    pieces: Pieces | None = None
    addresses: Addresses | None = None

    @property
    def blob(self) -> Blob:
        """Its bytes."""
        return Blob(self.sha256, self.size_bytes, self.pieces, self.addresses)


@dataclass(frozen=True)
class RuntimeNeed:
    """The program that runs a variant.

    Attributes:
        name: "onnxruntime" or "litert" (`ai-edge-litert`, or `tflite-runtime`, its older build).
        minimum: Oldest version that is known to run it, for example "1.22.0".
        provider: "cpu", "xnnpack", "cuda", "tensorrt": the agent's word.
    """

    name: str
    minimum: str
    provider: str = "cpu"


@dataclass(frozen=True)
class Requires:
    """What a machine must have.

    Attributes:
        os: As OCI and Go write it: "linux".
        arch: As OCI and Go write it: "amd64", "arm64", "arm"; "any" where the file does not mind.
        isa: Extensions that must all be there, Linux spelling, of `edgekit.types.cpu.ISA`.
        isa_any: Groups of extensions of which one must be there (x86 says VNNI as "avx512_vnni" or "avx_vnni").
        ram_bytes: Memory that a process needs to load and run it.
        flash_bytes: Disk that its files take.
        runtime: The program that runs it.
    """

    os: str
    arch: str
    runtime: RuntimeNeed
    ram_bytes: int
    flash_bytes: int
    isa: tuple[str, ...] = ()
    isa_any: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rule:
    """When an answer counts as the publisher's.

    Attributes:
        runtime: Which runtime it is for, as RuntimeNeed.name.
        mode: How the answers are compared.
        bound: Largest difference, in steps or in the output's unit; 0 for EXACT.
    """

    runtime: str
    mode: Mode
    bound: float = 0.0


@dataclass(frozen=True)
class Golden:
    """Inputs with the publisher's answers; both files are .npz, one array per tensor, samples along axis 0.

    Attributes:
        inputs: Path of the file of inputs, by input name, in the model's axis order.
        outputs: Path of the file of answers, by output name.
        samples: How many.
        rules: One per runtime that the answers hold for.
    """

    inputs: str
    outputs: str
    samples: int
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Measured:
    """What was measured of a variant, where and how far is in the report that the bundle may hold.

    Attributes:
        accuracy: Mean score on labelled samples, 0..1 for top-1; None when not measured.
        accuracy_baseline: The float model's on the same samples.
        metric: "top-1", or the name of the user's.
        accuracy_samples: How many labelled samples.
        sqnr_db: Signal to quantization noise against the float model, dB; None when infinite or not measured.
        agreement: Share of samples with the float model's top-1, 0..1.
        latency_ratio: Time over the float ONNX file's on the machine below; below 1 is faster.
        machine: CPU that the ratio was measured on.
    """

    accuracy: float | None = None
    accuracy_baseline: float | None = None
    metric: str = ""
    accuracy_samples: int = 0
    sqnr_db: float | None = None
    agreement: float | None = None
    latency_ratio: float | None = None
    machine: str = ""


@dataclass(frozen=True)
class Variant:
    """One way to run the model, for one kind of machine. A bundle lists them in order of preference.

    Attributes:
        name: Unique in the bundle, see VARIANT_NAME.
        format: What the model file is, of `edgekit.types.artifact.Format`.
        model: Path of the file that the runtime opens.
        files: Paths of all files that belong to it, `model` among them.
        requires: What a machine must have.
        inputs: What it takes, scales included.
        outputs: What it gives.
        golden: How to see that it runs as it should.
        measured: What was measured.
    """

    name: str
    format: str
    model: str
    files: tuple[str, ...]
    requires: Requires
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    golden: Golden
    measured: Measured = field(default_factory=Measured)


@dataclass(frozen=True)
class Lineage:
    """Where the files come from; each a sha256 in lower-case hex, "" where there was none.

    Attributes:
        checkpoint_sha256: The float model's file.
        calibration_sha256: The calibration samples.
        recipe_sha256: `recipe.toml`.
    """

    checkpoint_sha256: str
    calibration_sha256: str
    recipe_sha256: str


@dataclass(frozen=True)
class Manifest:
    """A bundle, told whole.

    Attributes:
        name: FAMILY/NAME, see NAME.
        version: Counts up with every publication; what "older" and "newer" mean.
        semver: The version for people, see SEMVER.
        license: SPDX expression, or "LicenseRef-..." for one of its own.
        created_with: "edgekit-ml VERSION".
        files: Every file but `manifest.json` itself, sorted by path.
        variants: In order of preference.
        lineage: Where the files come from.
        preprocessing: How an image becomes the input, as `Preprocessing.to_dict`; None where inputs are no images.
        forced: Checks that had failed, and were packed nevertheless.
        schema: Always SCHEMA.
    """

    name: str
    version: int
    semver: str
    license: str
    created_with: str
    files: tuple[BundleFile, ...]
    variants: tuple[Variant, ...]
    lineage: Lineage
    preprocessing: Mapping[str, Any] | None = None
    forced: tuple[str, ...] = ()
    schema: str = SCHEMA

    @property
    def family(self) -> str:
        """Who may sign it: the delegated role of a channel."""
        return self.name.partition("/")[0]

    def file(self, path: str) -> BundleFile:
        """The file of that path.

        Raises:
            KeyError: There is none.
        """
        return next((item for item in self.files if item.path == path), None) or _absent(path)

    def variant(self, name: str) -> Variant:
        """The variant of that name.

        Raises:
            KeyError: There is none.
        """
        return next((item for item in self.variants if item.name == name), None) or _absent(name)


def _absent(name: str) -> Any:
    raise KeyError(name)
