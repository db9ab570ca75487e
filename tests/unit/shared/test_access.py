"""The permission table, as a person would read it aloud, and the form of tokens."""

import pytest

from shared.access import (
    ALLOWED,
    Permission,
    Role,
    is_allowed,
    is_same_secret,
    new_token,
    parse_token,
)

MAY = {
    "viewer": {"read", "read tasks"},
    "editor": {"read", "read tasks", "edit"},
    "publisher": {"read", "read tasks", "edit", "publish"},
    "ops": {
        "read",
        "read personal data",
        "read tasks",
        "serve customers",
        "operate",
        "read tokens",
    },
    "privacy": {
        *("read", "read personal data", "read tasks", "privacy"),
        "make links of preferences",
    },
    "channel": {"read tasks", "serve customers"},
    "admin": {permission.value for permission in Permission} - {"read snapshots for a decision"},
    "service": {
        *("read", "read personal data", "read tasks", "register event leaves"),
        *("read snapshots for a decision", "erase for another service"),
        "make links of preferences",
    },
}


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("permission", list(Permission))
def test_each_role_may_exactly_this(role: Role, permission: Permission) -> None:
    assert is_allowed([role.value], permission) is (permission.value in MAY[role.value])


def test_every_permission_is_in_the_table_and_unknown_roles_have_none() -> None:
    assert set(ALLOWED) == set(Permission)
    assert not any(is_allowed(["root", ""], permission) for permission in Permission)


def test_a_new_token_can_be_parsed_and_its_secret_has_256_bits() -> None:
    token = new_token()
    assert parse_token(token.text) == token
    assert token.text.startswith(f"cst_{token.id}_")
    assert len(token.secret) == 43
    assert new_token() != token


@pytest.mark.parametrize(
    "text",
    ["", "cst_", "cst_0123456789abcdef_short", "Bearer x", "cst_XYZ3456789abcdef_" + "a" * 43],
)
def test_what_is_no_token_is_not_parsed(text: str) -> None:
    assert parse_token(text) is None


def test_only_the_same_secret_is_the_same() -> None:
    token, other = new_token(), new_token()
    assert is_same_secret(token, token.secret_sha256)
    assert not is_same_secret(token, other.secret_sha256)
    assert not is_same_secret(token, None)
