"""A certificate authority of a test, and server certificates by it."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Authority:
    """Signs certificates.

    Attributes:
        file: Its own certificate, PEM.
    """

    file: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def authority(folder: Path, name: str = "Test CA") -> Authority:
    """A new one, whose certificate lies in `folder`."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _sign(name, key.public_key(), name, key, is_ca=True)
    file = folder / f"{name}.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Authority(file, key, certificate)


def server_context(by: Authority, folder: Path, *, host: str = "127.0.0.1", days: int = 1) -> ssl.SSLContext:
    """TLS for a server at `host`; `days` below 0 makes a certificate that has expired."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _sign("server", key.public_key(), by.certificate.subject, by.key, host=host, days=days)
    file = folder / f"server-{host}-{days}.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def _sign(
    name: str,
    key: ec.EllipticCurvePublicKey,
    issuer: str | x509.Name,
    by: ec.EllipticCurvePrivateKey,
    *,
    is_ca: bool = False,
    host: str = "",
    days: int = 1,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer if isinstance(issuer, x509.Name) else _name(issuer))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=10))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    if host:
        names = [x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host)]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(by, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
