"""E-mails: well-formed, with a link to leave, and nobody adds a header."""

import email
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.domain.mail import Mail, MailRefused, make_mail, plain_text
from services.orchestrator.domain.mail_address import ascii_address, split_mailbox
from shared.contracts.action import Action
from shared.contracts.touchpoint import Identifier

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ID = "0193a5c4-0000-7000-8000-000000000001"
LINK = "https://p.example.com/preferences/abc"


def made(
    to: str = "ada@example.com", *, sender: str = "Shop Ü <shop@example.com>", **content: Any
) -> Mail:
    action = Action(
        action_id=ID, idempotency_key=ID, kind="send", profile_id="p", channel="email",
        category="marketing", decision_id="d", to=Identifier("email", to),
        content={"subject": "Hello", "body": "Hi", **content},
    )  # fmt: skip
    return make_mail(action, sender=sender, reply_to="help@example.com", unsubscribe=LINK, now=NOON)


def read(mail: Mail) -> EmailMessage:
    message = email.message_from_bytes(mail.content, policy=default)
    assert isinstance(message, EmailMessage)
    return message


def test_text_and_html_with_every_header() -> None:
    mail = made(subject="Ünïcode – 12 €" * 5, body="Zwölf\nZeilen", html="<p>Zwölf</p>")
    message = read(mail)
    assert message["Subject"] == "Ünïcode – 12 €" * 5
    assert message["From"] == "Shop Ü <shop@example.com>"
    assert (message["To"], message["Reply-To"]) == ("ada@example.com", "help@example.com")
    assert message["Message-ID"] == f"<{ID}@example.com>"
    assert message["Date"] == "Sat, 21 Nov 2026 12:00:00 +0000"
    assert message["List-Unsubscribe"] == f"<{LINK}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message.get_content_type() == "multipart/alternative"
    text, html = message.iter_parts()
    assert text.get_content().strip().splitlines() == ["Zwölf", "Zeilen"]
    assert html.get_content().strip() == "<p>Zwölf</p>"
    assert mail.content.isascii()
    assert all(len(line) <= 998 for line in mail.content.split(b"\r\n"))
    assert b"\n" not in mail.content.replace(b"\r\n", b"")
    assert (mail.sender, mail.to) == ("shop@example.com", "ada@example.com")


def test_html_alone_gets_a_text() -> None:
    html = '<style>x{}</style><h1>Hi</h1><p>Go <a href="https://a.b/c">there</a>&amp; now</p>'
    (text, _) = read(made(body="", html=html)).iter_parts()
    lines = [line for line in text.get_content().splitlines() if line]
    assert lines == ["Hi", "Go there (https://a.b/c)& now"]


INJECTIONS = [
    "Hi\r\nBcc: all@example.com", "Hi\nBcc: all@example.com", "Hi\rX: y", "Hi\r\n\r\n<p>body</p>",
    "Hi\x00", "Hi\x0bX: y", "Hi\x0cX: y", "Hi\x85X: y", "Hi\u2028X: y", "Hi\u2029X: y", "Hi\x1cX",
]  # fmt: skip


@pytest.mark.parametrize("text", INJECTIONS)
def test_a_subject_adds_no_header(text: str) -> None:
    with pytest.raises(MailRefused, match="bad_subject"):
        made(subject=text)


@pytest.mark.parametrize("text", [*INJECTIONS, "", "ada", "@b.c", "a@b", "a b@c.de", "a@b@c.de",
    "a@-b.de", "a@b..de", ".a@b.de", "a.@b.de", '"a b"@c.de', "a@[127.0.0.1]", "a@b.de, x@y.de",
    "<a@b.de>", "a@b.de\r\nRCPT TO:<x@y.de>", "é@b.de", "a" * 65 + "@b.de",
    "a@" + "b" * 64 + ".de"])  # fmt: skip
def test_an_address_is_one_address(text: str) -> None:
    assert ascii_address(text) is None
    with pytest.raises(MailRefused, match="bad_address"):
        made(to=text)


def test_addresses_that_are_mailed_to() -> None:
    assert ascii_address("o'neil+x=y@mail.example.co.uk") == "o'neil+x=y@mail.example.co.uk"
    assert ascii_address("a@bücher.example") == "a@xn--bcher-kva.example"
    assert split_mailbox("Shop <s@b.de>") == ("Shop", "s@b.de")
    assert split_mailbox("s@b.de") == ("", "s@b.de")
    for wrong in ("Shop, Inc <s@b.de>", "Shop\r\n <s@b.de>", "Shop <s@b.de> <x@y.de>"):
        assert split_mailbox(wrong) is None


def test_subject_and_body_are_needed() -> None:
    for fields, reason in (
        ({"subject": " "}, "no_subject"),
        ({"subject": 5}, "no_subject"),
        ({"body": " ", "html": "<p> </p>"}, "no_body"),
        ({"subject": "x" * 201}, "bad_subject"),
    ):
        with pytest.raises(MailRefused, match=reason):
            made(**fields)


@given(subject=st.text(min_size=1, max_size=200), body=st.text(max_size=500), html=st.text())
def test_whatever_it_says_the_headers_are_ours(subject: str, body: str, html: str) -> None:
    try:
        mail = made(subject=subject, body=body, html=html)
    except MailRefused:
        return
    allowed = {"from", "to", "reply-to", "subject", "date", "message-id", "list-unsubscribe",
               "list-unsubscribe-post", "mime-version", "content-type",
               "content-transfer-encoding"}  # fmt: skip
    assert {name.lower() for name in read(mail)} <= allowed


def test_plain_text_of_broken_html() -> None:
    assert plain_text("<p>a<br>b</p></a><script>x</script><a>c") == "a\nb\nc"
