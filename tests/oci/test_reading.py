"""Hostile documents: each refused by name, and none of them read further than its bounds."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from edgekit.errors import MalformedError
from edgekit.oci import media_types, reading
from edgekit.types.strict_json import canonical

DIGEST = "sha256:" + "ab" * 32
ENTRY = {"mediaType": media_types.IMAGE_MANIFEST, "digest": DIGEST, "size": 7}
INDEX = {"schemaVersion": 2, "mediaType": media_types.IMAGE_INDEX, "manifests": [ENTRY]}
MANIFEST = {
    "schemaVersion": 2,
    "mediaType": media_types.IMAGE_MANIFEST,
    "artifactType": media_types.MODEL_MANIFEST,
    "config": ENTRY,
    "layers": [ENTRY],
}


def refuse(read: Callable[..., object], data: bytes, said: str) -> None:
    with pytest.raises(MalformedError, match=said) as caught:
        read(data, where="it")
    assert len(str(caught.value)) < 400


def test_the_unaltered_ones_are_read() -> None:
    assert len(reading.read_index(canonical(INDEX), where="it").entries) == 1
    assert reading.read_image_manifest(canonical(MANIFEST), where="it").layers[0].size_bytes == 7


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"manifests": [ENTRY] * 131}, "131 entries; at most 130"),
        ({"manifests": {}}, "manifests is no list"),
        ({"manifests": [7]}, r"manifests\[0\] is no JSON object"),
        ({"manifests": [{**ENTRY, "urls": ["http://elsewhere"]}]}, "'urls', which has no place there"),
        ({"manifests": [{**ENTRY, "data": "e30="}]}, "'data', which has no place there"),
        ({"manifests": [{**ENTRY, "artifactType": "a/b"}]}, "'artifactType', which has no place there"),
        ({"manifests": [{**ENTRY, "size": -1}]}, "size is no size"),
        ({"manifests": [{**ENTRY, "size": 2**41}]}, "size is no size"),
        ({"manifests": [{**ENTRY, "size": True}]}, "size is no integer"),
        ({"manifests": [{**ENTRY, "size": 7.5}]}, "size is no integer"),
        ({"manifests": [{**ENTRY, "size": "7"}]}, "size is no integer"),
        ({"manifests": [{**ENTRY, "digest": "sha512:" + "ab" * 64}]}, "no sha256 digest"),
        ({"manifests": [{**ENTRY, "digest": "sha256:../../../etc/passwd"}]}, "no sha256 of 64"),
        ({"manifests": [{**ENTRY, "digest": "sha256:" + "AB" * 32}]}, "no sha256 of 64"),
        ({"manifests": [{**ENTRY, "digest": "sha256:" + "ab" * 32 + "\n"}]}, "no sha256 of 64"),
        ({"manifests": [{**ENTRY, "digest": 5}]}, "digest is no text"),
        ({"manifests": [{**ENTRY, "mediaType": "text/\x1b[2J"}]}, "mediaType is no media type"),
        ({"manifests": [{**ENTRY, "annotations": {"a": 1}}]}, "is no text"),
        ({"manifests": [{**ENTRY, "annotations": []}]}, "annotations is no object"),
        ({"manifests": [{**ENTRY, "annotations": {}}]}, "or an empty one"),
        ({"manifests": [{**ENTRY, "platform": {"os": "linux"}}]}, "lacks 'architecture'"),
        ({"manifests": [{**ENTRY, "platform": {"os": "linux", "architecture": "a b"}}]}, "architecture is no name"),
        (
            {"manifests": [{**ENTRY, "platform": {"os": "linux", "architecture": "arm", "os.version": "1"}}]},
            "'os.version', which has no place",
        ),
        ({"schemaVersion": 1}, "schema version 2"),
        ({"schemaVersion": True}, "schema version 2"),
        ({"mediaType": media_types.IMAGE_MANIFEST}, "is no application/vnd.oci.image.index"),
        ({"subject": ENTRY}, "'subject', which has no place there"),
    ],
)
def test_hostile_indexes(change: dict[str, Any], said: str) -> None:
    refuse(reading.read_index, canonical({**INDEX, **change}), said)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"layers": [ENTRY] * 258}, "258 entries; at most 257"),
        ({"config": None}, "config is no JSON object"),
        ({"artifactType": 3}, "artifactType is no text"),
        ({"manifests": []}, "'manifests', which has no place there"),
        ({"subject": {**ENTRY, "platform": {}}}, "'platform', which has no place there"),
    ],
)
def test_hostile_manifests(change: dict[str, Any], said: str) -> None:
    refuse(reading.read_image_manifest, canonical({**MANIFEST, **change}), said)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no strict JSON"),
        (b"[" * 100_000, "nested deeper"),
        (b'{"a":1,"a":2}', "the key 'a' twice"),
        (json.dumps(INDEX).encode(), "canonical form"),
        (canonical(INDEX).replace(b'"size":7', b'"size":%d' % 10**30), "beyond 2"),
        (canonical(INDEX).replace(b'"size":7', b'"size":7.0'), "canonical form"),
        (canonical(INDEX).replace(b'"size":7', b'"size":NaN'), "NaN"),
        (canonical(INDEX) + b" " * 2**18, "at most"),
        (b"\xff", "no UTF-8"),
        (b"null", "no JSON object"),
    ],
)
def test_what_is_no_index_at_all(data: bytes, said: str) -> None:
    refuse(reading.read_index, data, said)


def test_the_layout_file() -> None:
    reading.check_layout(b'{"imageLayoutVersion": "1.0.0"}\n')
    for data in (b"{}", b'{"imageLayoutVersion":"2.0.0"}', b"x" * 2000, b'{"imageLayoutVersion":"1.0.0","a":1}'):
        with pytest.raises(MalformedError):
            reading.check_layout(data)
