"""docs/formats.md is enough to write a second implementation: one that was accepts and refuses what edgekit does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from edgekit.bundle import manifest_file, release, tar_index
from edgekit.bundle.manifest_rules import MOST_FILES, MOST_VARIANTS
from edgekit.bundle.verify import verify_bundle
from edgekit.errors import EdgekitError
from edgekit.oci import media_types, reading
from edgekit.oci.tarball import write_tar
from edgekit.seal.keys import PrivateKey, generate
from edgekit.types import strict_json
from tests.bundle import second_reader
from tests.bundle.building import Built, build
from tests.bundle.second_reader import Refused
from tests.bundle.test_release import ALTERED, Edit, edited

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"


def test_it_is_independent() -> None:
    imported = {
        name
        for node in ast.walk(ast.parse(Path(second_reader.__file__).read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names])
    }
    assert not [name for name in imported if name.startswith(("edgekit", "tests"))]


def test_both_accept_the_same_bundle(valid: Built, key: PrivateKey, tmp_path: Path) -> None:
    write_tar(valid.path, tmp_path / "net.tar")
    for path in (valid.path, tmp_path / "net.tar"):
        digest, manifest = second_reader.verify(path, [key.public.pem])
        verdict = verify_bundle(path, [key.public])
        assert digest == verdict.bundle_digest
        assert manifest["name"] == verdict.name
    with pytest.raises(Refused, match="not trusted"):
        second_reader.verify(valid.path, [generate("p256").public.pem])


@pytest.mark.parametrize(("name", "edit", "kind", "said"), ALTERED)
def test_both_refuse_the_same_documents(
    name: str, edit: Edit, kind: type[EdgekitError], said: str, tmp_path: Path, key: PrivateKey
) -> None:
    built = build(tmp_path, key, alter={name: edited(edit)})
    with pytest.raises(Refused):
        second_reader.verify(built.path, [key.public.pem])
    with pytest.raises(kind, match=said):
        verify_bundle(built.path, [key.public])


def test_the_page_has_every_name(valid: Built) -> None:
    """Media types, annotation keys and limits of the code stand on the page."""
    page = PAGE.read_text(encoding="utf-8")
    for name, text in vars(media_types).items():
        if name.isupper() and isinstance(text, str):
            assert text in page, f"{name} = {text}"
    for role, text in media_types.LAYER_OF_ROLE.items():
        assert re.search(rf"`{role.value}`.*`{re.escape(text)}`", page), role


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ("`index.json`, the image index, a sigstore bundle | 256 KiB", reading.MOST_INDEX_BYTES == 2**18),
        ("a sigstore bundle | 256 KiB", release.MOST_SIGNATURE_BYTES == 2**18),
        ("an image or signature manifest | 512 KiB", reading.MOST_MANIFEST_BYTES == 2**19),
        ("a config | 64 KiB", reading.MOST_CONFIG_BYTES == 2**16),
        ("`manifest.json` | 1 MiB", manifest_file.MOST_BYTES == 2**20),
        ("entries of an index | 130", reading.MOST_ENTRIES == 130),
        ("layers of an image | 257", reading.MOST_LAYERS == 257),
        ("blobs of a bundle | 4096", tar_index.MOST_MEMBERS == 4096),
        ("files, variants of a manifest | 256, 64", (MOST_FILES, MOST_VARIANTS) == (256, 64)),
        ("nesting of JSON | 32", strict_json.DEEPEST == 32),
    ],
)
def test_the_page_has_the_limits_of_the_code(row: str, value: bool) -> None:
    assert f"{row} |" in PAGE.read_text(encoding="utf-8")
    assert value, f"the code has another limit than the page: {row}"
