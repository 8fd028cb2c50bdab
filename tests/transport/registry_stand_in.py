"""A small registry with what docker-registry 2.8 lacks: the referrers API, tokens, blobs on another server; and lies.

It is a behaviour of `HostileServer`. What a test wants to be wrong is a function in `lies`, by the beginning of
"METHOD path below the repository": the longest one that fits answers instead.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.transport.hostile_server import Behaviour, Exchange, HostileServer

INDEX = "application/vnd.oci.image.index.v1+json"
PAGE = 2
ACCOUNT = ("ann", "pass:word")


@dataclass
class StandIn:
    """One registry with one repository, `lab/net`.

    Attributes:
        referrers: Whether it knows the referrers API.
        account: (user, password) without which nothing is told; None for a registry that is open.
        refresh: A refresh token that gives tokens, too.
        basic: Ask for the password itself instead of a token.
        chunks: Whether it takes blobs in pieces.
        elsewhere: Root of another server, to which reads of blobs are redirected.
        lies: "GET manifests/" -> what answers such requests.
    """

    referrers: bool = True
    account: tuple[str, str] | None = None
    refresh: str = ""
    basic: bool = False
    chunks: bool = True
    elsewhere: str = ""
    lies: dict[str, Behaviour] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    documents: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def __call__(self, exchange: Exchange) -> None:
        parts = urlsplit("/" + exchange.name)
        if parts.path == "/token":
            self._give_token(exchange, parts.query)
            return
        assert parts.path.startswith("/v2/lab/net/"), parts.path
        path = parts.path.removeprefix("/v2/lab/net/")
        self.asked.append(f"{exchange.method} {path}")
        fitting = [start for start in self.lies if f"{exchange.method} {path}".startswith(start)]
        if fitting:
            self.lies[max(fitting, key=len)](exchange)
        elif self._may(exchange):
            self._serve(exchange, path, {key: values[0] for key, values in parse_qs(parts.query).items()})

    def _may(self, exchange: Exchange) -> bool:
        if self.account is None and not self.refresh:
            return True
        scopes = ["pull", "pull,push"] if exchange.method in ("GET", "HEAD") else ["pull,push"]
        shown = exchange.headers.get("authorization", "")
        good = [f"Bearer token-repository:lab/net:{scope}" for scope in scopes]
        realm = f'realm="{exchange.server.url}/token",service="stand-in",scope="repository:other/secret:push"'
        if shown in ([basic(*self.account or ("", ""))] if self.basic else good):
            return True
        exchange.answer(401, b"", {"WWW-Authenticate": 'Basic realm="x"' if self.basic else f"Bearer {realm}"})
        return False

    def _give_token(self, exchange: Exchange, query: str) -> None:
        form = parse_qs(exchange.body.decode() or query)
        by_password = self.account is not None and exchange.headers.get("authorization") == basic(*self.account)
        by_refresh = bool(self.refresh) and form.get("refresh_token") == [self.refresh]
        if not (by_password or by_refresh) or form.get("service") != ["stand-in"]:
            exchange.answer(401, b'{"errors": [{"code": "UNAUTHORIZED", "message": "who are you?"}]}')
            return
        exchange.answer(200, json.dumps({"token": f"token-{form['scope'][0]}", "expires_in": 300}).encode())

    def _serve(self, exchange: Exchange, path: str, query: Mapping[str, str]) -> None:
        kind, _, name = path.partition("/")
        if kind == "manifests" and exchange.method == "PUT":
            self._take_document(exchange, name)
        elif kind == "manifests":
            sha256 = self.tags.get(name, name.removeprefix("sha256:"))
            media_type, data = self.documents.get(sha256, ("", b""))
            exchange.answer(200 if media_type else 404, data, {"Content-Type": media_type or "text/plain"})
        elif kind == "referrers":
            self._list_referrers(exchange, name.removeprefix("sha256:"), int(query.get("from", 0)))
        elif name.startswith("uploads/"):
            self._take_upload(exchange, name.removeprefix("uploads/"), query)
        else:
            self._give_blob(exchange, name.removeprefix("sha256:"))

    def _take_document(self, exchange: Exchange, name: str) -> None:
        sha256 = hashlib.sha256(exchange.body).hexdigest()
        value = json.loads(exchange.body)
        for part in [value["config"], *value["layers"]] if "layers" in value else []:
            assert part["digest"].removeprefix("sha256:") in self.blobs, "a part is missing"
        for part in value.get("manifests", []):
            assert part["digest"].removeprefix("sha256:") in self.documents, "a part is missing"
        self.documents[sha256] = exchange.headers["content-type"], exchange.body
        if not name.startswith("sha256:"):
            self.tags[name] = sha256
        subject = value.get("subject")
        known = {"OCI-Subject": subject["digest"]} if subject and self.referrers else {}
        exchange.answer(201, b"", {"Location": "/v2/lab/net/manifests/" + name, **known})

    def _list_referrers(self, exchange: Exchange, sha256: str, start: int) -> None:
        if not self.referrers:
            exchange.answer(404)
            return
        found = []
        for digest, (media_type, data) in sorted(self.documents.items()):
            value = json.loads(data)
            if value.get("subject", {}).get("digest") == f"sha256:{sha256}":
                one = {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}
                found.append(one | {"artifactType": value["artifactType"], "annotations": value["annotations"]})
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": found[start : start + PAGE]}
        more = f'</v2/lab/net/referrers/sha256:{sha256}?from={start + PAGE}>; rel="next"'
        headers = {"Content-Type": INDEX} | ({"Link": more} if len(found) > start + PAGE else {})
        exchange.answer(200, json.dumps(index).encode(), headers)

    def _give_blob(self, exchange: Exchange, sha256: str) -> None:
        if sha256 not in self.blobs:
            exchange.answer(404)
        elif self.elsewhere and exchange.method == "GET":
            exchange.answer(307, b"", {"Location": f"{self.elsewhere}/{sha256}"})
        else:
            exchange.file = self.blobs[sha256]
            exchange.answer(*exchange.part())

    def _take_upload(self, exchange: Exchange, name: str, query: Mapping[str, str]) -> None:
        if exchange.method == "POST":
            name = f"upload-{len(self.uploads)}"
            self.uploads[name] = b""
            exchange.answer(202, b"", {"Location": f"/v2/lab/net/blobs/uploads/{name}?state=0"})
        elif exchange.method == "PATCH":
            begin = int(re.match(r"(\d+)-", exchange.headers["content-range"])[1])  # type: ignore[index]
            if not self.chunks or begin != len(self.uploads[name]):
                exchange.answer(416)
                return
            self.uploads[name] += exchange.body
            there = f"/v2/lab/net/blobs/uploads/{name}?state={len(self.uploads[name])}"
            exchange.answer(202, b"", {"Location": there})
        else:
            data = self.uploads[name] + exchange.body
            sha256 = hashlib.sha256(data).hexdigest()
            if query["digest"] != f"sha256:{sha256}":
                exchange.answer(400, b'{"errors": [{"code": "DIGEST_INVALID"}]}')
                return
            self.blobs[sha256] = data
            exchange.answer(201)


def url_of(server: HostileServer, tag: str = "") -> str:
    return f"oci://127.0.0.1:{server.port}/lab/net{tag}"


def hex_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def answering(body: bytes, media_type: str = INDEX, status: int = 200) -> Behaviour:
    """Always the same."""
    return lambda exchange: exchange.answer(status, body, {"Content-Type": media_type})


def log_in(config: Path, server: HostileServer) -> None:
    """As `docker login` does, as ACCOUNT."""
    secret = base64.b64encode(":".join(ACCOUNT).encode()).decode()
    config.write_text(json.dumps({"auths": {f"127.0.0.1:{server.port}": {"auth": secret}}}))


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
