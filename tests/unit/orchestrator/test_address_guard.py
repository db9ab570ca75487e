"""The guard of outgoing connections, against everything that is known to fool one."""

# ruff: noqa: S104 - lists of what has to be refused

from collections.abc import Sequence
from typing import Any

import httpcore
import pytest

from services.orchestrator.connectors.outgoing import Outgoing, PinnedBackend
from services.orchestrator.domain.address_guard import (
    MAIL_PORTS,
    WEB_PORTS,
    AddressPolicy,
    AddressRefused,
    check_scheme,
    checked,
    read_policy,
    read_url,
)

NOWHERE = AddressPolicy()

REFUSED_URLS = {
    # not the web
    **dict.fromkeys(
        [
            "ftp://example.com/",
            "file:///etc/passwd",
            "gopher://example.com:70/_x",
            "//x.com",
            "dict://example.com:11211/",
            "ldap://example.com/",
            "javascript:alert(1)",
            "example.com",
            "unix:/run/docker.sock",
            "jar:http://example.com!/",
            "HTTPS",
            "",
        ],
        "scheme",
    ),
    # two readers, two hosts
    **dict.fromkeys(
        [
            "https://example.com@127.0.0.1/",
            "https://user:secret@example.com/",
            "https://example.com:443@evil.example/",
            "https://@example.com/",
        ],
        "userinfo",
    ),
    **dict.fromkeys(
        [
            "https://example.com\\@127.0.0.1/",
            "https://exa mple.com/",
            "https://example.com/\r\nX: y",
            "https://example.com/\x00",
            "https://example.com/#@evil.example",
            "https://ⓔxample.com/",
            "https://127。0。0。1/",
            "https://①②⑦.0.0.1/",
            "https://example.com\t.evil.example/",
            "https://[::1/",
            "https://[1.2.3.4]/",
            "https://example.com:http/",
            "https://example.com:99999/",
        ],
        "url",
    ),
    # numbers that only some take for an address
    **dict.fromkeys(
        [
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0x7f.1/",
            "https://017700000001/",
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://127.0.1/",
            "https://0/",
            "https://0x/",
            "https://00000177.0.0.1/",
            "https://127.0.0.01/",
            "https://127.0.0.256/",
            "https://1.2.3.4.5/",
            "https://example.0x7f/",
            "https://127.0.0.1./",
            "https://[::1%25lo]/",
            "https://[fe80::1%eth0]/",
            "https:///path",
            "https://.example.com/",
            "https://a..b/",
            "https://-a.example/",
            "https://*.example.com/",
            "https://" + "a" * 64 + ".example/",
        ],
        "host",
    ),
    "https://example.com:0/": "port",
}

REFUSED_ADDRESSES = [
    # loopback, unspecified, private, shared, link-local and metadata
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1",
    "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.100.100.200", "100.127.255.255",
    "169.254.169.254", "169.254.170.2", "192.0.0.192", "192.0.0.1", "168.63.129.16",
    # documentation, benchmarks, multicast, reserved, broadcast
    "192.0.2.1", "198.51.100.7", "203.0.113.9", "198.18.0.1", "198.19.255.255", "192.88.99.1",
    "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    # IPv6: the same, and the forms with an IPv4 address inside
    "::1", "::", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "2001:db8::1",
    "100::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:169.254.169.254", "::127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::1", "2002:a00:1::",
    "2001::1", "2001:0:7f00:1::", "2001:10::1", "3fff::1", "5f00::1",
    "2a00:1450:4007:80e:0:5efe:7f00:1", "fe80::1%lo",
]  # fmt: skip

PUBLIC = ["93.184.215.14", "8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450:4007:80e::2004"]


@pytest.mark.parametrize(("url", "rule"), REFUSED_URLS.items())
def test_a_url_that_could_be_misread_is_refused(url: str, rule: str) -> None:
    with pytest.raises(AddressRefused) as refused:
        check_scheme(read_url(url), NOWHERE)
    assert refused.value.rule == rule


@pytest.mark.parametrize("address", REFUSED_ADDRESSES)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(AddressRefused):
        checked([address], 443, NOWHERE, WEB_PORTS)
    with pytest.raises(AddressRefused):
        checked([PUBLIC[0], address], 443, NOWHERE, WEB_PORTS)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed_on_known_ports(address: str) -> None:
    assert [str(one) for one in checked([address], 443, NOWHERE, WEB_PORTS)] == [address]
    for port, ports in ((22, WEB_PORTS), (6379, WEB_PORTS), (9200, WEB_PORTS), (443, MAIL_PORTS)):
        with pytest.raises(AddressRefused, match="port"):
            checked([address], port, NOWHERE, ports)


def test_the_deployment_lists_networks_of_its_own() -> None:
    policy = read_policy(http=True, networks="10.1.0.0/16, fd00:1::/64")
    assert checked(["10.1.2.3", "fd00:1::5"], 9000, policy, WEB_PORTS)
    for other in ("10.2.0.1", "127.0.0.1", "::ffff:10.1.2.3", "fd00:2::1"):
        with pytest.raises(AddressRefused):
            checked([other], 443, policy, WEB_PORTS)
    check_scheme(read_url("http://example.com/"), policy)
    with pytest.raises(AddressRefused):
        check_scheme(read_url("http://example.com/"), NOWHERE)
    for wrong in ("10.1.0.1/16", "here"):
        with pytest.raises(ValueError, match=r"network|host"):
            read_policy(http=False, networks=wrong)


def test_a_url_keeps_its_path_and_port() -> None:
    url = read_url("https://Hooks.Example.com:8443/a/b?c=d%20e")
    assert (url.host, url.port, url.path) == ("hooks.example.com", 8443, "/a/b?c=d%20e")
    assert read_url("https://[2606:4700::1111]").port == 443


class Recorder(httpcore.AsyncNetworkBackend):
    """Connects to nothing and notes where it was asked to: not even a broken guard gets out."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    async def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> Any:
        self.asked.append((host, port))
        raise httpcore.ConnectError("this is a test")


def guarded(
    *answers: Sequence[str], policy: AddressPolicy = NOWHERE
) -> tuple[PinnedBackend, Recorder, list[str]]:
    """A backend whose name server gives these answers, one a time."""
    asked: list[str] = []
    recorder = Recorder()

    async def resolve(host: str, _: int) -> Sequence[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return PinnedBackend(Outgoing(policy, resolve=resolve, connect=recorder)), recorder, asked


async def test_connects_to_the_address_that_was_checked() -> None:
    """A name that changes between check and connection gains nothing: it is asked once."""
    backend, recorder, asked = guarded(["8.8.8.8"], ["127.0.0.1"])
    with pytest.raises(httpcore.ConnectError):
        await backend.connect_tcp("rebind.example", 443)
    assert recorder.asked == [("8.8.8.8", 443)]
    assert asked == ["rebind.example"]
    with pytest.raises(AddressRefused):
        await backend.connect_tcp("rebind.example", 443)
    assert len(recorder.asked) == 1


@pytest.mark.parametrize("address", REFUSED_ADDRESSES)
async def test_a_name_of_such_an_address_is_not_connected_to(address: str) -> None:
    backend, recorder, _ = guarded([address])
    with pytest.raises(AddressRefused) as refused:
        await backend.connect_tcp("inside.example", 443)
    assert address not in str(refused.value)
    assert recorder.asked == []


@pytest.mark.parametrize("url", REFUSED_URLS)
async def test_nor_is_a_host_as_a_url_has_it(url: str) -> None:
    """Even if the text of the URL had not been checked."""
    backend, recorder, _ = guarded([])
    host = url.partition("://")[2].partition("/")[0] or url
    with pytest.raises((AddressRefused, httpcore.ConnectError, UnicodeError)):
        await backend.connect_tcp(host, 443)
    assert recorder.asked == []


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    backend, recorder, _ = guarded(["8.8.8.8", "1.1.1.1"])
    with pytest.raises(httpcore.ConnectError):
        await backend.connect_tcp("two.example", 443)
    assert recorder.asked == [("8.8.8.8", 443), ("1.1.1.1", 443)]


async def test_a_name_that_is_not_known_is_tried_later() -> None:
    async def resolve(host: str, _: int) -> Sequence[str]:
        raise OSError(host)

    recorder = Recorder()
    backend = PinnedBackend(Outgoing(NOWHERE, resolve=resolve, connect=recorder))
    with pytest.raises(httpcore.ConnectError):
        await backend.connect_tcp("unknown.example", 443)
    with pytest.raises(AddressRefused):
        await backend.connect_unix_socket("/run/docker.sock")
    assert recorder.asked == []
