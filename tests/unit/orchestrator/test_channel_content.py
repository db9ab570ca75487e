"""What channels can carry: found when a template is saved, and again when it is rendered."""

import pytest

from services.orchestrator.domain.channel import default_channels, parse_channel
from services.orchestrator.domain.channel_content import (
    check_content,
    content_problems,
    form_of,
    segments,
    template_problems,
)
from services.orchestrator.domain.content import ContentFailed, parse_template

SMTP = {"host": "mail.example.com", "from": "shop@example.com"}
CHANNELS = default_channels() | {
    "news": parse_channel({"connector": "smtp", "smtp": SMTP}, key="news", version=1)
}


def rules(channel: str, content: dict[str, object]) -> dict[str, str]:
    found = content_problems(form_of(CHANNELS[channel]), content)
    return {problem.path: problem.rule for problem in found}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("GSM-7", 1)), ("a" * 160, ("GSM-7", 1)), ("a" * 161, ("GSM-7", 2)),
        ("a" * 306, ("GSM-7", 2)), ("a" * 307, ("GSM-7", 3)), ("€" * 80, ("GSM-7", 1)),
        ("€" * 81, ("GSM-7", 2)), ("ж" * 70, ("UCS-2", 1)), ("ж" * 71, ("UCS-2", 2)),
        ("😀" * 35, ("UCS-2", 1)), ("😀" * 36, ("UCS-2", 2)), ("ç" * 10, ("UCS-2", 1)),
    ],
)  # fmt: skip
def test_segments_of_a_text_message(text: str, expected: tuple[str, int]) -> None:
    assert segments(text) == expected


@pytest.mark.parametrize(
    "subject",
    [
        "Hi\r\nBcc: all@example.com",
        "Hi\nX: y",
        "Hi\rX",
        "Hi\x0bX",
        "Hi\u2028X",
        "Hi\x85X",
        "a\x00b",
    ],
)
def test_a_subject_has_one_line(subject: str) -> None:
    for channel in ("email", "news"):
        assert rules(channel, {"subject": subject}) == {"subject": "line_break"}
        with pytest.raises(ContentFailed, match="subject"):
            check_content(CHANNELS[channel], {"subject": subject})
    assert rules("push", {"subject": subject}) == {}


def test_lengths() -> None:
    assert rules("email", {"subject": "é" * 201}) == {"subject": "max_length"}
    assert rules("sms", {"body": "a" * 1531}) == {"body": "max_length"}
    assert rules("sms", {"text": "ж" * 670}) == {}
    assert rules("sms", {"text": "ж" * 671}) == {"text": "max_length"}
    assert rules("sms", {"text": "a\x1b[31m"}) == {"text": "text"}
    assert rules("push", {"body": "a" * 4_000}) == {"": "max_length"}
    assert rules("push", {"body": "a" * 3_900}) == {}


@pytest.mark.parametrize(
    "link",
    ["javascript:alert(1)", "data:text/html,x", "//evil.example", "/here", "vbscript:x", "ftp://a.b",
     "java\tscript:alert(1)", " JaVaScRiPt:alert(1)", "file:///etc/passwd"],
)  # fmt: skip
def test_links_lead_to_the_web(link: str) -> None:
    assert rules("push", {"card": {"url": link}}) == {"card.url": "url"}
    assert rules("app", {"cards": [{"image_url": link}]}) == {"cards[0].image_url": "url"}
    for html in (f'<a href="{link}">x</a>', f"<img src='{link}'>", f'<FORM ACTION="{link}">'):
        assert rules("email", {"html": html}) == {"html": "url"}
    assert rules("email", {"html": "<a href='https://a.b/?x=1&amp;y=2'>x</a><a href='#top'>"}) == {}
    assert rules("push", {"url": "https://a.b/c", "link": ""}) == {}


def test_a_template_is_checked_as_it_renders_for_nobody() -> None:
    document = {
        "content": {
            "en": {"subject": "Hi\n{{ profile.first_name }}", "url": "{{ event.url }}"},
            "fr": {"subject": "{% if profile.x %}\n{% endif %}Oui", "html": "<p>x</p>"},
            "de": {"body": "{{ event.x | divided_by: 0 }}", "url": "javascript:alert(1)"},
        }
    }
    template = parse_template(document, key="t", version=1)
    found = template_problems(CHANNELS["news"], template.content)
    assert {problem.path: problem.rule for problem in found} == {
        "content.en.subject": "line_break",
        "content.en.body": "required",
        "content.de.subject": "required",
    }
