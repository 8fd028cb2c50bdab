"""Which addresses are this machine, and which are of the public internet."""

from __future__ import annotations

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether a host of a URL is this machine, so that what is sent there passes no wire.

    Args:
        host: A name, or an address; an IPv6 one with or without brackets.

    >>> is_loopback("[::1]"), is_loopback("localhost.example.org")
    (True, False)
    """
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_public(address: str) -> bool:
    """Whether an address, as sockets give it, is one of the public internet.

    >>> is_public("10.0.0.7"), is_public("fe80::1%eth0"), is_public("9.9.9.9")
    (False, False, True)
    """
    try:
        return ip_address(address.partition("%")[0]).is_global
    except ValueError:
        return False
