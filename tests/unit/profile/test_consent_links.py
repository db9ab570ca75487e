"""Signed links: nobody but us makes one, changes one, or uses one after its time."""

import base64
from uuid import UUID

import pytest

from services.profile.domain.consent_links import (
    BrokenLinkError,
    ConsentLink,
    ExpiredLinkError,
    read_link,
    signed,
)

KEY, OLD, FOREIGN = b"k" * 32, b"o" * 32, b"f" * 32
LINK = ConsentLink("preferences", UUID(int=7).bytes, 1000)


def test_a_link_says_what_was_signed() -> None:
    assert read_link(signed(LINK, [KEY]), [KEY], kind="preferences", now=999) == LINK
    assert LINK.profile_id == str(UUID(int=7))


def test_a_link_of_an_older_key_lives_as_long_as_the_key_is_known() -> None:
    token = signed(LINK, [OLD])
    assert read_link(token, [KEY, OLD], kind="preferences", now=0) == LINK
    with pytest.raises(BrokenLinkError):
        read_link(token, [KEY], kind="preferences", now=0)


def test_a_link_ends_at_its_instant() -> None:
    with pytest.raises(ExpiredLinkError):
        read_link(signed(LINK, [KEY]), [KEY], kind="preferences", now=1000)


def test_a_link_is_good_for_one_thing() -> None:
    with pytest.raises(BrokenLinkError):
        read_link(signed(LINK, [KEY]), [KEY], kind="confirmation", now=0)


def test_no_changed_bit_goes_unseen() -> None:
    token = signed(LINK, [KEY])
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1
        forged = base64.urlsafe_b64encode(bytes(changed)).decode().rstrip("=")
        with pytest.raises(BrokenLinkError):
            read_link(forged, [KEY], kind="preferences", now=0)


def test_a_link_is_written_in_one_way() -> None:
    token = signed(LINK, [KEY])
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    others = [token[:-1] + letter for letter in last if letter != token[-1]]
    for other in (*others, token + "=", token + "==", f" {token}", f"{token}\n"):
        with pytest.raises(BrokenLinkError):
            read_link(other, [KEY], kind="preferences", now=0)


@pytest.mark.parametrize("token", ["", "x", "é" * 60, "A" * 601, "A" * 599, "....", "\0"])
def test_what_is_no_link_is_refused(token: str) -> None:
    with pytest.raises(BrokenLinkError):
        read_link(token, [KEY], kind="preferences", now=0)


def test_a_foreign_key_signs_nothing() -> None:
    with pytest.raises(BrokenLinkError):
        read_link(signed(LINK, [FOREIGN]), [KEY, OLD], kind="preferences", now=0)
