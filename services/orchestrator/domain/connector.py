"""What a channel's document says about delivering: rate, retries, and where the connector sends.

No secret stands in a document: a `…_ref` names a file in the deployment's folder of secrets.
"""

import re
from dataclasses import dataclass
from datetime import time, timedelta

from services.orchestrator.domain.address_guard import AddressRefused, check_host, read_url
from services.orchestrator.domain.mail_address import is_mailbox
from shared.conditions.document import Fields
from shared.conditions.mistakes import shown
from shared.contracts.zones import is_zone

CONNECTORS = ("kafka", "webhook", "smtp", "file", "task")
BUILT_IN = frozenset({"webhook", "smtp", "file"})
"""Those that the role `deliver` serves."""
OF_CONNECTOR = {"webhook": "webhook", "smtp": "smtp", "file": "file"}
WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DEFAULT_COLUMNS = ("action_id", "profile_id", "rule", "to", "content")
COLUMN = re.compile(r"(action_id|profile_id|channel|category|rule|to|to_type|expires_at|content|"
                    r"content\.[A-Za-z0-9_.-]{1,100})")  # fmt: skip
SECRET_REF = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")
FOLDER = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}(/[a-z0-9][a-z0-9_-]{0,63}){0,3}")
CLOCK_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `limit` deliveries in `per`, by all processes together."""

    limit: int
    per: timedelta


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how long one delivery is tried: after `first`, then twice as long each time up
    to `longest`, at most `tries` times and for `give_up_after`."""

    tries: int = 8
    first: timedelta = timedelta(seconds=5)
    longest: timedelta = timedelta(hours=1)
    give_up_after: timedelta = timedelta(days=1)


USUAL_RETRY = Retry()


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where actions are posted; the file `secret_ref` has the keys that sign."""

    url: str
    secret_ref: str
    timeout: timedelta


@dataclass(frozen=True, slots=True)
class Smtp:
    """The mail server, and whom mails come from."""

    host: str
    port: int
    tls: str
    username: str | None
    password_ref: str | None
    sender: str
    reply_to: str | None
    timeout: timedelta


@dataclass(frozen=True, slots=True)
class FileBatch:
    """One file for each day of `days` (Monday is 0), closed at `cut_off` in `zone`."""

    folder: str
    cut_off: time
    zone: str
    columns: tuple[str, ...]
    days: frozenset[int]


Target = Webhook | Smtp | FileBatch


def read_rate(fields: Fields) -> Rate | None:
    """`rate {limit, per}`; None without one."""
    if not fields.has("rate"):
        return None
    return fields.nested("rate", _rate, ("limit", "per"))


def _rate(fields: Fields) -> Rate:
    fields.required("limit")
    per = fields.duration("per", timedelta(seconds=1), timedelta(days=1))
    return Rate(fields.whole("limit", 1, 1, 1_000_000), per)


def read_retry(fields: Fields) -> Retry:
    """`retry {tries, first, longest, give_up_after}`, with defaults."""
    return fields.nested("retry", _retry, ("tries", "first", "longest", "give_up_after"))


def _retry(fields: Fields) -> Retry:
    usual = USUAL_RETRY
    first = fields.duration("first", usual.first, timedelta(days=1))
    longest = fields.duration("longest", max(usual.longest, first), timedelta(days=7))
    if longest < first:
        fields.wrong("longest", "order", "is shorter than first")
    return Retry(
        tries=fields.whole("tries", usual.tries, 1, 100),
        first=first,
        longest=longest,
        give_up_after=fields.duration("give_up_after", usual.give_up_after, timedelta(days=30)),
    )


def read_target(fields: Fields, connector: str) -> Target | None:
    """The settings of the chosen connector; those of another one are a mistake."""
    for name in OF_CONNECTOR:
        if name != connector and fields.has(name):
            fields.wrong(name, "connector", f"is for the connector {name}, not {connector}")
    if connector not in OF_CONNECTOR or not fields.required(connector):
        return None
    if connector == "webhook":
        return fields.nested("webhook", _webhook, ("url", "secret_ref", "timeout"))
    if connector == "smtp":
        known = (
            "host", "port", "tls", "username", "password_ref", "from", "reply_to", "timeout",
        )  # fmt: skip
        return fields.nested("smtp", _smtp, known)
    return fields.nested("file", _file, ("folder", "cut_off", "zone", "columns", "days"))


def _webhook(fields: Fields) -> Webhook:
    fields.required("url")
    url = fields.text("url", limit=2_000) or ""
    if url:
        try:
            read_url(url)
        except AddressRefused as refused:
            fields.wrong("url", refused.rule, str(refused))
    fields.required("secret_ref")
    return Webhook(url, _ref(fields, "secret_ref") or "", _timeout(fields))


def _smtp(fields: Fields) -> Smtp:
    fields.required("host")
    host = fields.text("host", limit=253) or ""
    if host:
        try:
            check_host(host)
        except AddressRefused as refused:
            fields.wrong("host", refused.rule, str(refused))
    tls = fields.choice("tls", ("starttls", "tls", "none"), "starttls")
    fields.required("from")
    username, password = fields.text("username"), _ref(fields, "password_ref")
    if (username is None) != (password is None):
        fields.wrong("username", "together", "username and password_ref come together")
    if password is not None and tls == "none":
        fields.wrong("tls", "cleartext", "a password is not sent in clear: use starttls or tls")
    return Smtp(
        host=host,
        port=fields.whole("port", {"starttls": 587, "tls": 465}.get(tls, 25), 1, 65_535),
        tls=tls,
        username=username,
        password_ref=password,
        sender=_mailbox(fields, "from") or "",
        reply_to=_mailbox(fields, "reply_to"),
        timeout=_timeout(fields),
    )


def _file(fields: Fields) -> FileBatch:
    fields.required("folder")
    folder = fields.text("folder") or ""
    if folder and FOLDER.fullmatch(folder) is None:
        fields.wrong("folder", "folder", "is lower-case letters, digits, '_' and '-', under the "
                     "deployment's folder of files: at most four levels, by '/'")  # fmt: skip
    cut_off = fields.text("cut_off") or "17:00"
    if CLOCK_TIME.fullmatch(cut_off) is None:
        fields.wrong("cut_off", "time", 'is a time of day such as "17:00"')
        cut_off = "17:00"
    columns = [_one_of(fields, path, value) for path, value in fields.items("columns", 50)]
    days = [_weekday(fields, path, value) for path, value in fields.items("days", 7)]
    return FileBatch(
        folder=folder,
        cut_off=time.fromisoformat(cut_off),
        zone=_zone(fields),
        columns=tuple(columns) or DEFAULT_COLUMNS,
        days=frozenset(days) or frozenset(range(7)),
    )


def _one_of(fields: Fields, path: str, value: object) -> str:
    if isinstance(value, str) and COLUMN.fullmatch(value):
        return value
    fields.mistakes.add(path, "choice", f"{shown(value)} is no column: action_id, profile_id, "
                        "channel, category, rule, to, to_type, expires_at, content or "
                        "content.<field>")  # fmt: skip
    return "action_id"


def _weekday(fields: Fields, path: str, value: object) -> int:
    if isinstance(value, str) and value in WEEK:
        return WEEK.index(value)
    fields.mistakes.add(path, "choice", f"{shown(value)} is none of {', '.join(WEEK)}")
    return 0


def _zone(fields: Fields) -> str:
    name = fields.text("zone") or "UTC"
    if not is_zone(name):
        fields.wrong("zone", "zone", f"{shown(name)} is no IANA time zone such as Europe/Paris")
        return "UTC"
    return name


def _ref(fields: Fields, name: str) -> str | None:
    value = fields.text(name)
    if value is not None and SECRET_REF.fullmatch(value) is None:
        fields.wrong(name, "secret_ref", "names a file in the deployment's folder of secrets: "
                     "lower-case letters, digits, '_', '-' and '.'")  # fmt: skip
        return None
    return value


def _mailbox(fields: Fields, name: str) -> str | None:
    value = fields.text(name, limit=320)
    if value is not None and not is_mailbox(value):
        fields.wrong(name, "address", 'is an e-mail address, or "Name <address>"')
        return None
    return value


def _timeout(fields: Fields) -> timedelta:
    return fields.duration("timeout", timedelta(seconds=15), timedelta(seconds=60))
