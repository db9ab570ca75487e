"""The pages that customers see: plain HTML that works without a script, and says nothing of them
but a masked identifier. Everything that is not written here is escaped."""

import base64
import hashlib
from collections.abc import Iterable
from html import escape
from itertools import groupby

from services.profile.domain.preferences import Preference
from shared.contracts.consents import EVERY

STYLE = (
    "body{font:1rem/1.5 sans-serif;max-width:40rem;margin:2rem auto;padding:0 1rem;color:#111;"
    "background:#fff}fieldset{margin:0 0 1rem;border:1px solid #767676;border-radius:4px}"
    "legend{font-weight:bold}label{display:block;padding:.35rem 0}"
    "input{width:1.2rem;height:1.2rem;vertical-align:middle;margin-right:.5rem}"
    "button{font:inherit;padding:.6rem 1rem;margin:.5rem 0}"
    "[role=status]{border-left:4px solid #111;padding:.5rem 1rem;margin:1rem 0}"
)
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
}

SAVED = "Your preferences are saved."
LEFT = "You are unsubscribed from everything that you can unsubscribe from."
PAIR = " "
"""What joins a purpose and a channel in a field of the form; neither holds one."""


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="robots" content="noindex,nofollow">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>"
    )


def message_page(title: str, text: str) -> str:
    """A page with one sentence."""
    return _page(title, f'<p role="status">{escape(text)}</p>')


def preferences_page(
    lines: Iterable[Preference],
    *,
    identifier: str | None,
    refuses_everything: bool,
    notice: str | None = None,
) -> str:
    """Every purpose with its channels as boxes to tick, and one button to leave everything."""
    parts = []
    if notice is not None:
        parts.append(f'<p role="status">{escape(notice)}</p>')
    if identifier is not None:
        parts.append(f"<p>These are the preferences of <b>{escape(identifier)}</b>.</p>")
    if refuses_everything:
        parts.append("<p>You have unsubscribed from everything. Tick what you want again.</p>")
    listed = list(lines)
    parts.append('<form method="post">')
    for purpose, channels in groupby(listed, key=lambda line: line.purpose):
        about = "" if purpose.description is None else f"<p>{escape(purpose.description)}</p>"
        boxes = "".join(_box(line) for line in channels)
        parts.append(f"<fieldset><legend>{escape(purpose.name)}</legend>{about}{boxes}</fieldset>")
    if listed:
        parts.append('<button name="action" value="save">Save my preferences</button>')
    else:
        parts.append("<p>There is nothing to choose at the moment.</p>")
    parts.append(
        '</form><form method="post"><button name="action" value="leave">'
        "Unsubscribe from everything</button></form>"
    )
    return _page("Your preferences", "".join(parts))


def _box(line: Preference) -> str:
    value = escape(PAIR.join(line.pair), quote=True)
    where = "On every channel" if line.channel == EVERY else f"By {line.channel}"
    checked = " checked" if line.is_on else ""
    was = f'<input type="hidden" name="was" value="{value}">' if line.is_on else ""
    waiting = " (waiting for you to confirm it)" if line.status == "pending" else ""
    return (
        f'<input type="hidden" name="shown" value="{value}">{was}'
        f'<label><input type="checkbox" name="on" value="{value}"{checked}>'
        f"{escape(where)}{waiting}</label>"
    )


def confirmation_page(name: str, channel: str) -> str:
    """Asks for the second yes; programs that open links in mails press no button."""
    where = "on every channel" if channel == EVERY else f"by {channel}"
    return _page(
        "Please confirm",
        f"<p>Do you want to receive <b>{escape(name)}</b> {escape(where)}?</p>"
        '<form method="post"><button name="action" value="confirm">Yes, I do</button></form>',
    )
