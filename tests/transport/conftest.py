"""Servers that end with their test, and transports that wait for seconds instead of minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edgekit.transport.http import HttpTransport
from edgekit.transport.oci import OciTransport, open_registry
from edgekit.transport.oci_place import parse_place
from edgekit.transport.oci_registry import Registry
from edgekit.transport.oci_session import PUSH
from edgekit.transport.patience import Patience
from tests.transport.hostile_server import HostileServer
from tests.transport.registry_stand_in import url_of

SHORT = Patience(connect_s=3.0, answer_s=2.5, silence_s=2.5, slowest_bytes_per_s=1024.0, window_s=2.0)
"""Long enough for a machine that does other things too, short enough for a test that waits for it."""

Start = Callable[..., HostileServer]
Connect = Callable[..., HttpTransport]
RegistryOf = Callable[[HostileServer], Registry]
TransportOf = Callable[[HostileServer], OciTransport]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither proxies nor credentials of whoever runs the tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("EDGEKIT_TOKEN", "EDGEKIT_CA_FILE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path_factory.mktemp("home") / "netrc"))


@pytest.fixture
def started() -> Iterator[ExitStack]:
    """What is closed at the end of the test, the last one first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def start(started: ExitStack) -> Start:
    """Starts a hostile server; arguments as for the class."""
    return lambda *args, **kwargs: started.enter_context(HostileServer(*args, **kwargs))


@pytest.fixture
def connect(started: ExitStack) -> Connect:
    """A transport for a server, with little patience."""

    def connect(server: HostileServer, *, patience: Patience = SHORT) -> HttpTransport:
        transport = HttpTransport(server.url, patience=patience)
        started.callback(transport.close)
        return transport

    return connect


@pytest.fixture
def docker_config(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where credentials for a registry may be left; there are none yet."""
    folder = tmp_path_factory.mktemp("docker")
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return folder / "config.json"


@pytest.fixture
def registry_of(started: ExitStack, docker_config: Path) -> RegistryOf:
    """The repository `lab/net` of a registry, with little patience."""

    def registry_of(server: HostileServer) -> Registry:
        found = open_registry(parse_place(url_of(server)), actions=PUSH, patience=SHORT)
        started.callback(found.session.close)
        return found

    return registry_of


@pytest.fixture
def transport_of(started: ExitStack, docker_config: Path) -> TransportOf:
    """The same as a transport."""

    def transport_of(server: HostileServer) -> OciTransport:
        found = OciTransport(parse_place(url_of(server)), patience=SHORT)
        started.callback(found.close)
        return found

    return transport_of
