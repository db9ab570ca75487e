"""What a channel can carry: lengths, line breaks in headers, links, and the fields it needs.

Checked of every piece of content that was rendered, and of each template as it renders for nobody
when it is saved or published.
"""

import json
import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser

from services.orchestrator.domain.channel import Channel
from services.orchestrator.domain.content import Content, ContentFailed
from services.orchestrator.domain.mail import LINE_BREAK, MAX_SUBJECT
from shared.conditions.facts import Facts
from shared.errors import Problem

EMAIL, SMS, PUSH = "email", "sms", "push"
MAX_SEGMENTS = 10
MAX_PUSH_BYTES = 4_000
"""What Apple and Google carry is 4,096 bytes, with what a channel system adds."""
GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_TWICE = frozenset("^{}\\[~]|€\f")
"""Characters of GSM-7 that take the room of two."""
_LINK_FIELD = re.compile(r"(?:.*_)?(?:url|link|href|image)")
_WEB = re.compile(r"https?://[^\s\x00-\x1f]+", re.IGNORECASE)
_IN_HTML = ("http://", "https://", "mailto:", "tel:", "cid:", "#")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def form_of(channel: Channel) -> str | None:
    """The form of content on the channel; None when any will do."""
    if channel.connector == "smtp":
        return EMAIL
    return channel.key if channel.key in (EMAIL, SMS, PUSH) else None


def segments(text: str) -> tuple[str, int]:
    """The alphabet of a text message, and how many it is sent as."""
    if all(letter in GSM or letter in GSM_TWICE for letter in text):
        length = sum(2 if letter in GSM_TWICE else 1 for letter in text)
        return "GSM-7", 1 if length <= 160 else -(-length // 153)
    length = len(text.encode("utf-16-be")) // 2
    return "UCS-2", 1 if length <= 70 else -(-length // 67)


def content_problems(form: str | None, content: Mapping[str, object]) -> Iterator[Problem]:
    """What the channel cannot carry of rendered content."""
    for path, name, value in _texts(content, ""):
        if _LINK_FIELD.fullmatch(name) and value.strip() and _WEB.fullmatch(value.strip()) is None:
            yield Problem(path, "url", "must be a URL that begins with https:// or http://")
        if name == "html" or name.endswith("_html"):
            bad = _bad_link(value)
            if bad is not None:
                yield Problem(path, "url", f"has a link that begins with {bad[:20]!r}")
    if form == EMAIL:
        yield from _subject(content)
    elif form == SMS:
        yield from _sms(content)
    elif form == PUSH:
        size = len(json.dumps(content, ensure_ascii=False).encode("utf-8", "replace"))
        if size > MAX_PUSH_BYTES:
            yield Problem("", "max_length", f"is {size} bytes, at most {MAX_PUSH_BYTES}")


def check_content(channel: Channel, content: Mapping[str, object]) -> None:
    """Raises ContentFailed with the first thing that the channel cannot carry."""
    for problem in content_problems(form_of(channel), content):
        raise ContentFailed(f"{problem.path or channel.key}: {problem.message}")


def template_problems(channel: Channel, content: Content) -> Iterator[Problem]:
    """What the channel cannot carry of a template whatever it is filled with, by locale. The
    connector `smtp` also needs a subject and a body."""
    for locale, fields in content.locales.items():
        place = f".{locale}" if locale else ""
        if channel.connector == "smtp":
            for names in (("subject",), ("body", "text", "html", "body_html")):
                if not any(name in fields for name in names):
                    path = f"content{place}.{names[0]}"
                    yield Problem(path, "required", "is missing: an e-mail needs it")
        try:
            rendered = content.render(_NOBODY, locale or None)
        except ContentFailed:
            continue  # it needs values to render at all; then it is checked with them
        for problem in content_problems(form_of(channel), rendered):
            path = f"content{place}.{problem.path}".removesuffix(".")
            yield Problem(path, problem.rule, problem.message)


_NOBODY = Facts(profile={}, computed={}, event={})


def _subject(content: Mapping[str, object]) -> Iterator[Problem]:
    subject = content.get("subject")
    if not isinstance(subject, str):
        return
    if LINE_BREAK.search(subject):
        yield Problem("subject", "line_break", "must not have line breaks or control characters")
    if len(subject) > MAX_SUBJECT:
        message = f"has {len(subject)} characters, at most {MAX_SUBJECT} allowed"
        yield Problem("subject", "max_length", message)


def _sms(content: Mapping[str, object]) -> Iterator[Problem]:
    name = "text" if "text" in content else "body"
    text = content.get(name)
    if not isinstance(text, str):
        return
    if _CONTROL.search(text):
        yield Problem(name, "text", "must not have control characters")
    alphabet, count = segments(text)
    if count > MAX_SEGMENTS:
        message = f"is {count} messages in {alphabet}, at most {MAX_SEGMENTS} allowed"
        yield Problem(name, "max_length", message)


def _texts(value: object, path: str, name: str = "") -> Iterator[tuple[str, str, str]]:
    """(path, name of the field, text) of every text in the content."""
    if isinstance(value, str):
        yield path, name, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _texts(part, f"{path}.{key}" if path else str(key), str(key))
    elif isinstance(value, list):
        for place, part in enumerate(value):
            yield from _texts(part, f"{path}[{place}]", name)


def _bad_link(html: str) -> str | None:
    reader = _Links()
    reader.feed(html)
    reader.close()
    return reader.bad


class _Links(HTMLParser):
    """Finds the first link whose scheme a mail program should not follow."""

    _WHERE = frozenset({"href", "src", "action", "formaction", "background", "poster"})

    def __init__(self) -> None:
        super().__init__()
        self.bad: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at what may be followed or loaded."""
        for name, value in attrs:
            link = re.sub(r"[\s\x00-\x20]", "", value or "")
            if name in self._WHERE and link and not link.lower().startswith(_IN_HTML):
                self.bad = self.bad or link
