"""Makes the e-mail of an action: text and HTML, headers that nobody can add to.

Pure: the instant and the link of preferences are given.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html.parser import HTMLParser

from services.orchestrator.domain.mail_address import ascii_address, split_mailbox
from shared.contracts.action import Action

MAX_SUBJECT = 200
LINE_BREAK = re.compile("[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029\x00]")
_WRITE = SMTP.clone(max_line_length=78, cte_type="7bit")


class MailRefused(Exception):  # noqa: N818  says what happened
    """The action makes no e-mail; `str()` is a short code."""


@dataclass(frozen=True, slots=True)
class Mail:
    """An e-mail ready to be handed over: envelope and bytes."""

    sender: str
    to: str
    content: bytes


def make_mail(
    action: Action,
    *,
    sender: str,
    reply_to: str | None,
    unsubscribe: str | None,
    now: datetime,
    test: bool = False,
) -> Mail:
    """The e-mail. Raises MailRefused when address, subject or body are missing or unfit."""
    to = ascii_address(action.to.value) if action.to is not None else None
    if to is None:
        raise MailRefused("bad_address")
    named = split_mailbox(sender)
    if named is None:
        raise MailRefused("bad_sender")
    message = EmailMessage(policy=_WRITE)
    message["From"] = _address(*named)
    message["To"] = _address("", to)
    back = None if reply_to is None else split_mailbox(reply_to)
    if back is not None:
        message["Reply-To"] = _address(*back)
    message["Subject"] = _subject(action.content, test=test)
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{action.action_id}@{named[1].rpartition('@')[2]}>"
    if unsubscribe is not None and LINE_BREAK.search(unsubscribe) is None:
        message["List-Unsubscribe"] = f"<{unsubscribe}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    _fill(message, action.content)
    return Mail(named[1], to, message.as_bytes())


def _subject(content: Mapping[str, object], *, test: bool) -> str:
    subject = content.get("subject")
    if not isinstance(subject, str) or not subject.strip():
        raise MailRefused("no_subject")
    if LINE_BREAK.search(subject) or len(subject) > MAX_SUBJECT:
        raise MailRefused("bad_subject")
    return f"[Test] {subject}" if test else subject


def _fill(message: EmailMessage, content: Mapping[str, object]) -> None:
    html = content.get("html", content.get("body_html"))
    text = content.get("text", content.get("body"))
    if not isinstance(text, str) or not text.strip():
        text = plain_text(html) if isinstance(html, str) else ""
    if not text.strip():
        raise MailRefused("no_body")
    message.set_content(text, cte="quoted-printable")
    if isinstance(html, str) and html.strip():
        message.add_alternative(html, subtype="html", cte="quoted-printable")


def _address(name: str, address: str) -> Address:
    local, _, domain = address.rpartition("@")
    return Address(display_name=name, username=local, domain=domain)


def plain_text(html: str) -> str:
    """What is left to read of HTML without its marks; links keep their address behind them."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.parts).splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _Reader(HTMLParser):
    _BREAKS = frozenset({"br", "p", "div", "tr", "li", "h1", "h2", "h3", "h4", "table"})
    _SILENT = frozenset({"script", "style", "head", "title"})

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._silent = 0
        self._links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._SILENT:
            self._silent += 1
        elif tag in self._BREAKS:
            self.parts.append("\n")
        elif tag == "a":
            self._links.append(dict(attrs).get("href") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag in self._BREAKS:
            self.parts.append("\n")
        elif tag == "a" and self._links:
            link = self._links.pop()
            if link.startswith(("http://", "https://")):
                self.parts.append(f" ({link})")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(data)
