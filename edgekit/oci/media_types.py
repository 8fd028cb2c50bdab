"""Media types and annotation keys of a bundle: those of OCI image 1.1, CNCF ModelPack and sigstore, and our own few."""

from __future__ import annotations

from collections.abc import Mapping

from edgekit.types.manifest import Role

IMAGE_INDEX = "application/vnd.oci.image.index.v1+json"
IMAGE_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
"""Of the two bytes "{}": the config of an artifact that has none."""

MODEL_MANIFEST = "application/vnd.cncf.model.manifest.v1+json"
MODEL_CONFIG = "application/vnd.cncf.model.config.v1+json"
WEIGHT = "application/vnd.cncf.model.weight.v1.raw"
WEIGHT_CONFIG = "application/vnd.cncf.model.weight.config.v1.raw"
DOC = "application/vnd.cncf.model.doc.v1.raw"
DATASET = "application/vnd.cncf.model.dataset.v1.raw"
"""ModelPack's layers; "raw" is the file as it is, so that the layer's digest is the file's."""

SIGSTORE_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
OMS_PREDICATE = "https://model_signing/signature/v1.0"
PROVENANCE_PREDICATE = "https://slsa.dev/provenance/v1"

LAYER_OF_ROLE: Mapping[Role, str] = {
    Role.MODEL: WEIGHT,
    Role.GOLDEN: DATASET,
    Role.CARD: DOC,
    Role.BOM: DOC,
    Role.RECIPE: WEIGHT_CONFIG,
    Role.REPORT: DOC,
    Role.LICENSE: DOC,
}

TITLE = "org.opencontainers.image.title"
VERSION = "org.opencontainers.image.version"
LICENSES = "org.opencontainers.image.licenses"
REF_NAME = "org.opencontainers.image.ref.name"
FILE_PATH = "org.cncf.model.filepath"
CONTENT = "dev.sigstore.bundle.content"
PREDICATE_TYPE = "dev.sigstore.bundle.predicateType"
VARIANT = "dev.edgekit.variant"
"""Of an image in the image index, and of its signature in the release index: the variant's name."""
ROLE = "dev.edgekit.role"
"""Of an entry of the release index: SIGNATURE or PROVENANCE; the image index has none."""
SIGNATURE = "signature"
PROVENANCE = "provenance"
MANIFEST = "dev.edgekit.manifest"
MANIFEST_SIZE = "dev.edgekit.manifest.size"
"""Of the image index: digest and size in bytes of `manifest.json`."""
