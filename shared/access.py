"""Who may do what: roles, permissions and the one table that joins them; and the form of a token.

A token is `cst_<id>_<secret>`: the id is looked up, of the secret only the SHA-256 is kept. The
secret has 256 random bits, so a fast hash is enough; nobody can try that many.
Pure but for drawing a new token; shared by the HTTP side, the tables and the local stack.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple


class Role(StrEnum):
    """What a token is given. `channel` is for a channel system, a till or a call centre, that
    serves customers and configures nothing; `service` is for Concert's own services alone."""

    VIEWER = "viewer"
    EDITOR = "editor"
    PUBLISHER = "publisher"
    OPS = "ops"
    PRIVACY = "privacy"
    CHANNEL = "channel"
    ADMIN = "admin"
    SERVICE = "service"


class Permission(StrEnum):
    """What a route demands: exactly one of these. READ_PERSONAL is demanded by no route: an answer
    shows personal data masked to who lacks it."""

    READ = "read"
    READ_PERSONAL = "read personal data"
    EDIT = "edit"
    PUBLISH = "publish"
    REGISTER = "register event leaves"
    READ_SNAPSHOTS = "read snapshots for a decision"
    READ_TASKS = "read tasks"
    SERVE = "serve customers"
    MAKE_LINKS = "make links of preferences"
    OPERATE = "operate"
    PRIVACY = "privacy"
    ERASE = "erase for another service"
    READ_TOKENS = "read tokens"
    ADMINISTER = "administer"


ALLOWED: Mapping[Permission, frozenset[Role]] = {
    Permission.READ: frozenset(Role) - {Role.CHANNEL},
    Permission.READ_PERSONAL: frozenset({Role.OPS, Role.PRIVACY, Role.ADMIN, Role.SERVICE}),
    Permission.EDIT: frozenset({Role.EDITOR, Role.PUBLISHER, Role.ADMIN}),
    Permission.PUBLISH: frozenset({Role.PUBLISHER, Role.ADMIN}),
    Permission.REGISTER: frozenset({Role.ADMIN, Role.SERVICE}),
    Permission.READ_SNAPSHOTS: frozenset({Role.SERVICE}),
    Permission.READ_TASKS: frozenset(Role),
    Permission.SERVE: frozenset({Role.CHANNEL, Role.OPS, Role.ADMIN}),
    Permission.MAKE_LINKS: frozenset({Role.PRIVACY, Role.ADMIN, Role.SERVICE}),
    Permission.OPERATE: frozenset({Role.OPS, Role.ADMIN}),
    Permission.PRIVACY: frozenset({Role.PRIVACY, Role.ADMIN}),
    Permission.ERASE: frozenset({Role.ADMIN, Role.SERVICE}),
    Permission.READ_TOKENS: frozenset({Role.OPS, Role.ADMIN}),
    Permission.ADMINISTER: frozenset({Role.ADMIN}),
}

TOKEN_FORM = re.compile(r"cst_(?P<id>[0-9a-f]{16})_(?P<secret>[A-Za-z0-9_-]{43})")
NO_TOKEN_SHA256 = hashlib.sha256(b"no token has this").digest()
"""Compared with when there is no such token, so that the answer takes as long."""


class Token(NamedTuple):
    """A token in clear; only its holder has it. Never log or store it."""

    id: str
    secret: str

    @property
    def text(self) -> str:
        """What goes into the Authorization header after `Bearer`."""
        return f"cst_{self.id}_{self.secret}"

    @property
    def secret_sha256(self) -> bytes:
        """What is stored: 32 bytes."""
        return hashlib.sha256(self.secret.encode()).digest()


def new_token() -> Token:
    """A new random token."""
    return Token(secrets.token_hex(8), secrets.token_urlsafe(32))


def parse_token(text: str) -> Token | None:
    """The parts of a token, or None when `text` has another form."""
    found = TOKEN_FORM.fullmatch(text)
    return None if found is None else Token(found["id"], found["secret"])


def is_same_secret(token: Token, stored_sha256: bytes | None) -> bool:
    """Whether the token's secret is the stored one; takes the same time for every answer."""
    expected = NO_TOKEN_SHA256 if stored_sha256 is None else stored_sha256
    same = hmac.compare_digest(token.secret_sha256, expected)
    return same and stored_sha256 is not None


def is_allowed(roles: Iterable[str], permission: Permission) -> bool:
    """Whether one of the roles has the permission."""
    return not ALLOWED[permission].isdisjoint(roles)


def roles_with(permission: Permission) -> list[str]:
    """The roles people can be given that have the permission, for the answer 403."""
    allowed = ALLOWED[permission]
    given = [role.value for role in Role if role in allowed and role != Role.SERVICE]
    return given or [Role.SERVICE.value]
