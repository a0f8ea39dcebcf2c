"""Addresses that a table from a stranger must not make this machine talk to."""

from __future__ import annotations

import ipaddress

__all__ = ["refused_address"]

# Where machines of a cloud ask for their own configuration, though `ipaddress` calls it public: Azure's, and Oracle's
# within the addresses for protocols (RFC 6890), of which older versions of Python know a few only.
_METADATA = [ipaddress.ip_network("168.63.129.16/32"), ipaddress.ip_network("192.0.0.0/24")]
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def refused_address(address: str) -> str | None:
    """Return in words why a server at `address` is not public; None: it is.

    Loopback, private and shared networks, link-local addresses (clouds keep credentials at 169.254.169.254),
    multicast, reserved ranges, and IPv4 addresses of these kinds inside of IPv6 ones (mapped, 6to4, Teredo, NAT64).
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    for one in (found, *_inside(found)):
        if not one.is_global or one.is_multicast or _is_metadata(one):
            return f"{address} is {_kind(one)}"
    return None


def _inside(address: _Address) -> list[_Address]:
    if address.version == 4:
        return []
    inner: list[_Address | None] = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in inner if one is not None]


def _kind(address: _Address) -> str:
    if address.is_loopback or address.is_unspecified:
        return "this machine"
    if address.is_link_local or _is_metadata(address):
        return "an address within the local network, where clouds keep credentials"
    return "not a public address"


def _is_metadata(address: _Address) -> bool:
    return any(address in network for network in _METADATA)
