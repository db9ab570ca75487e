"""Where Concert may connect to on behalf of its configuration: checked as text, then as addresses.

A name is resolved once and the connection goes to one of the addresses that passed here, so a name
that resolves to something else a moment later gains nothing. What is refused is more than
`is_private`: every range that is not the public internet, the IPv6 forms that carry an IPv4 address
inside, and numbers that only some resolvers take for an address.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

WEB_PORTS = frozenset({80, 443, 8080, 8443})
MAIL_PORTS = frozenset({25, 465, 587, 2525})

REFUSED: tuple[Network, ...] = tuple(
    ip_network(each)
    for each in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24",
        "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # Azure's own services; all the other metadata services are private
        "::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23",
        "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10",
        "fec0::/10", "ff00::/8",
    )
)  # fmt: skip
_ISATAP = (0x00005EFE, 0x02005EFE)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)
_DOTTED = re.compile(r"(0|[1-9][0-9]{0,2})(\.(0|[1-9][0-9]{0,2})){3}")


class AddressRefused(Exception):  # noqa: N818  says what happened
    """Concert does not connect there. `rule` is a short code; `str()` names no address that a
    name resolved to, for that would map the inside of a network."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """What a deployment allows beyond https to the public internet."""

    http: bool = False
    networks: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Url:
    """The parts of a URL that was read: `path` has the query; `host` is in lower case."""

    scheme: str
    host: str
    port: int
    path: str


def read_policy(*, http: bool, networks: str) -> AddressPolicy:
    """The policy of `networks` by comma. Raises ValueError for one that is none."""
    named = (each.strip() for each in networks.split(","))
    return AddressPolicy(http, tuple(ip_network(each) for each in named if each))


def read_url(url: str) -> Url:
    """The parts of a URL. Raises AddressRefused for whatever two programs could read differently,
    or that is no plain http or https."""
    if not url.isascii() or any(letter <= " " or letter in "\\\x7f" for letter in url):
        raise AddressRefused("url", "must be a URL in ASCII without spaces or backslashes")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AddressRefused("url", "is no URL") from None
    if parts.scheme not in ("http", "https"):
        raise AddressRefused("scheme", "must begin with https://")
    if "@" in parts.netloc:
        raise AddressRefused("userinfo", "must not hold a user name or a password")
    if parts.fragment or "#" in url:
        raise AddressRefused("url", "must not have a fragment")
    host = parts.hostname or ""
    check_host(host)
    if port == 0:
        raise AddressRefused("port", "0 is no port")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Url(parts.scheme, host, port or {"http": 80, "https": 443}[parts.scheme], path)


def check_host(host: str) -> None:
    """Raises AddressRefused for what is neither a name of the DNS nor an address in its one usual
    form (`127.1`, `0x7f000001`, `2130706433`, `0177.0.0.1` and `%`-zones are refused)."""
    if ":" in host:
        if "%" in host or _address(host) is None:
            raise AddressRefused("host", "is no IPv6 address")
        return
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or any(_LABEL.fullmatch(label) is None for label in labels):
        raise AddressRefused("host", "is no name of a host")
    if _NUMBER.fullmatch(labels[-1]) and (
        _DOTTED.fullmatch(host) is None or _address(host) is None
    ):
        raise AddressRefused("host", "is an address in an unusual form")


def check_scheme(url: Url, policy: AddressPolicy) -> None:
    """Raises AddressRefused for http where the deployment does not allow it."""
    if url.scheme == "http" and not policy.http:
        raise AddressRefused("scheme", "must begin with https://")


def check_port(port: int, policy: AddressPolicy, ports: frozenset[int]) -> None:
    """Raises AddressRefused for a port that no address could be reached on."""
    if not policy.networks and port not in ports:
        raise AddressRefused("port", _other_port(port, ports))


def _other_port(port: int, ports: frozenset[int]) -> str:
    return f"port {port} is not one of {sorted(ports)}"


def literal(host: str) -> Address | None:
    """The address that a host is; None when it is a name that has to be resolved."""
    return _address(host)


def checked(
    addresses: Iterable[str], port: int, policy: AddressPolicy, ports: frozenset[int]
) -> Sequence[Address]:
    """All of the addresses a name resolved to. Raises AddressRefused if there is none, or if only
    one of them is not allowed: a name has no business with both sides."""
    found = []
    for text in addresses:
        address = _address(text)
        if address is None:
            raise AddressRefused("address", "resolves to something that is no address")
        listed = any(address.version == net.version and address in net for net in policy.networks)
        if not listed and not is_public(address):
            raise AddressRefused("address", "is, or resolves to, an address that is not public")
        if not listed and port not in ports:
            raise AddressRefused("port", _other_port(port, ports))
        found.append(address)
    if not found:
        raise AddressRefused("address", "resolves to no address")
    return found


def is_public(address: Address) -> bool:
    """Whether anybody on the internet could be meant by the address."""
    if isinstance(address, IPv6Address) and (
        address.scope_id is not None or (int(address) >> 32) & 0xFFFFFFFF in _ISATAP
    ):
        return False
    if any(address.version == net.version and address in net for net in REFUSED):
        return False
    return address.is_global and not address.is_multicast


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
