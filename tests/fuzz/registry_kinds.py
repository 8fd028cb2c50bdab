"""Registries: answers of one that lies about everything it can: documents, blobs, lists, tokens, statuses, headers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from edgekit.bundle.verify import verify_bundle
from edgekit.oci import media_types
from edgekit.oci.documents import describe
from edgekit.transport import oci_session
from edgekit.transport.oci_pull import pull_layout, release_tag
from edgekit.transport.oci_referrers import Referrer
from tests.fuzz import hostile
from tests.fuzz.byte_mutation import mutate_bytes
from tests.fuzz.json_mutation import is_json, mutate_json
from tests.fuzz.kinds import Kind, hold
from tests.fuzz.specimens import Specimens

HOST, REPOSITORY, TAG = "127.0.0.1:5000", "lab/net", "1.0.0"
BELOW = f"/v2/{REPOSITORY}/"
TOKEN = "/token"
CHALLENGE = f'Bearer realm="http://{HOST}{TOKEN}",service="registry"'
STATUSES = (200, 200, 204, 206, 301, 400, 401, 403, 404, 405, 416, 429, 500, 503)
HEADERS = ("content-type", "content-length", "content-range", "link", "docker-content-digest", "www-authenticate")
LARGEST_TREE_BYTES = 32 * 4 * 2**20
"""A list of referrers has at most 4 MiB, and a JSON text of empty objects takes 24 times its length as a tree."""
MOST_REQUESTS = 400
"""In one pull; a valid one takes 30."""


@dataclass(frozen=True)
class Reply:
    """One answer."""

    status: int
    headers: Mapping[str, str]
    data: bytes


Replies = dict[str, Reply]
"""Path -> answer; "challenge" is what is answered to whoever shows no token."""


def registry_kinds(specimens: Specimens) -> Iterator[Kind[Any]]:
    """All of them."""
    maker = _Registries(specimens)
    yield Kind(
        "registry",
        "the bundle that was pulled and verified is the original",
        maker.draw,
        maker.judge,
        400,
        most_bytes=LARGEST_TREE_BYTES,
    )


class _Registries:
    def __init__(self, specimens: Specimens) -> None:
        self._specimens = specimens

    @cached_property
    def _replies(self) -> Replies:
        """A registry with the referrers API, and one tag."""
        source = self._specimens.bundle
        found: Replies = {
            "challenge": Reply(401, {"www-authenticate": CHALLENGE}, b""),
            TOKEN: _json({"token": "abc", "expires_in": 300}, "application/json"),
        }
        referring: dict[str, list[Any]] = {}
        for sha256, data in source.blobs.items():
            found[f"{BELOW}blobs/sha256:{sha256}"] = Reply(200, {"content-type": "application/octet-stream"}, data)
            document = json.loads(data) if data.startswith(b"{") else {}
            if "manifests" in document or "layers" in document:
                found[f"{BELOW}manifests/sha256:{sha256}"] = Reply(200, {"content-type": document["mediaType"]}, data)
            if "subject" in document:
                referrer = Referrer(
                    describe(data, media_types.IMAGE_MANIFEST, annotations=document["annotations"]),
                    document["artifactType"],
                )
                referring.setdefault(document["subject"]["digest"], []).append(referrer.to_plain())
        for name, listed in referring.items():
            index = {"schemaVersion": 2, "mediaType": media_types.IMAGE_INDEX, "manifests": listed}
            found[f"{BELOW}referrers/{name}"] = _json(index, media_types.IMAGE_INDEX)
        found[f"{BELOW}manifests/{TAG}"] = found[f"{BELOW}manifests/{source.digest}"]
        release = release_tag(source.digest.removeprefix("sha256:"))
        found[f"{BELOW}manifests/{release}"] = Reply(200, {"content-type": media_types.IMAGE_INDEX}, source.index)
        return found

    def draw(self, random: Random) -> Replies:
        replies = dict(self._replies)
        if random.random() < 0.3:
            del replies[f"{BELOW}manifests/{release_tag(self._specimens.bundle.digest.removeprefix('sha256:'))}"]
        for _ in range(random.choice((1, 1, 2, 3))):
            named = [path for path in replies if not path.startswith(f"{BELOW}blobs/")]
            path = random.choice(named if random.random() < 0.8 else sorted(replies))
            replies[path] = self._mutate(random, replies[path])
        return replies

    def judge(self, replies: Replies, place: Path) -> None:
        asked: list[str] = []
        with patch.object(oci_session, "Web", lambda source, *, patience=None: _Web(source, replies, asked)):
            pulled = pull_layout(f"oci://{HOST}/{REPOSITORY}:{TAG}", place / "net.edgekit")
        verdict = verify_bundle(place / "net.edgekit", [self._specimens.publisher.public])
        hold(verdict.bundle_digest == pulled == self._specimens.bundle.digest, "another bundle was accepted")
        hold(verdict.release.manifest_bytes == self._specimens.bundle.manifest_bytes, "another manifest was accepted")

    def _mutate(self, random: Random, reply: Reply) -> Reply:
        how = random.randrange(8)
        if how == 0:
            return replace(reply, status=random.choice(STATUSES))
        if how <= 2:
            name = random.choice((*reply.headers, *HEADERS))
            values = (
                hostile.name(random),
                "bytes 0-9/10",
                "1",
                "-1",
                f"<{hostile.name(random)}>; rel=next",
                f"<{BELOW}>; rel=next",
            )
            value = random.choice(values).encode("latin-1", "replace").decode("latin-1")  # as bytes of a header arrive
            return replace(reply, headers={**reply.headers, name: value})
        if how == 3:
            realm = random.choice(
                (hostile.name(random), f"http://{HOST}{TOKEN}?x=1", "https://[", "http://a@b/", "//x", TOKEN)
            )
            texts = (
                f'Bearer realm="{realm}"',
                "Basic realm=x",
                f'Bearer realm="{realm}",service="{hostile.name(random)}"',
            )
            challenge = random.choice(texts).encode("latin-1", "replace").decode("latin-1")
            return replace(reply, headers={**reply.headers, "www-authenticate": challenge}, status=401)
        others = [self._specimens.bundle.index, self._specimens.successor.index]
        if how <= 6 and is_json(reply.data):
            return replace(reply, data=mutate_json(random, reply.data, others))
        return replace(reply, data=mutate_bytes(random, reply.data, others))


class _Web:
    """What `edgekit.transport.web.Web` does, out of a dictionary; other servers do not answer."""

    def __init__(self, source: str, replies: Replies, asked: list[str]) -> None:
        self._source, self._replies, self._asked = source, replies, asked

    @contextmanager
    def ask(self, method: str, url: str, *, headers: Mapping[str, str], **_: object) -> Iterator[_Answer]:
        """Answer."""
        self._asked.append(url)
        hold(len(self._asked) <= MOST_REQUESTS, f"a registry is asked without end, last for {url[:200]}")
        parts = urlsplit(url)
        path = parts.path
        if path.startswith("/v2/") and "Authorization" not in headers:
            reply = self._replies["challenge"]
        else:
            reply = self._replies.get(path, Reply(404, {}, b'{"errors":[{"code":"UNKNOWN"}]}'))
        if method == "HEAD":
            reply = replace(reply, data=b"")
        yield _Answer(reply, url, self._source)

    def close(self) -> None:
        """There is nothing to close."""


class _Answer:
    def __init__(self, reply: Reply, url: str, source: str) -> None:
        self.status, self.headers, self.url, self.source = reply.status, reply.headers, url, source
        self._data = reply.data

    def body(self) -> Iterator[bytes]:
        """The content, in two pieces."""
        middle = len(self._data) // 2
        yield from (self._data[:middle], self._data[middle:])


def _json(value: object, media_type: str) -> Reply:
    return Reply(200, {"content-type": media_type}, json.dumps(value).encode())
