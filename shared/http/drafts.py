"""Bodies and answers of configuration: the document itself, with a few fields of ours beside it.

What was read can be edited and sent back: the fields that only we set are taken and left out.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from shared.errors import Problem
from shared.http.etag import etag
from shared.postgres.drafts import Draft, Version

OURS = frozenset(
    {
        *("version", "status", "draft_version", "created_at", "warming"),
        *("unchanged", "warnings", "telling", "affected", "running"),
        *("updated_at", "updated_by", "published_at", "published_by", "saved_at", "saved_by"),
    }
)
"""Fields of the answers that are no part of a document."""

NEWEST = 2**31 - 1
"""No version has a greater number."""


class DraftView(BaseModel):
    """A draft: the document's fields, and these. `version` is the live or last live version."""

    model_config = ConfigDict(extra="allow")

    key: str
    status: str
    version: int | None
    draft_version: int
    created_at: datetime
    updated_at: datetime
    updated_by: str


class VersionView(BaseModel):
    """A published version: the document's fields, and these. It never changes."""

    model_config = ConfigDict(extra="allow")

    key: str
    version: int
    published_at: datetime
    published_by: str


class Warned(BaseModel):
    """What is allowed and probably not meant, with its place."""

    path: str
    rule: str
    message: str


class Checked(BaseModel):
    """The answer when there is no mistake; else it is a problem that names each. `warnings`, where
    there are some, stop nothing."""

    valid: bool = True
    warnings: list[Warned] | None = Field(None, exclude_if=lambda found: found is None)


def warned(problems: Iterable[Problem]) -> list[Warned] | None:
    """The warnings as they are shown; None where there are none."""
    shown = [Warned(path=one.path, rule=one.rule, message=one.message) for one in problems]
    return shown or None


def document_of(body: dict[str, Any]) -> dict[str, Any]:
    """The document in a body, without the fields of ours."""
    return {name: value for name, value in body.items() if name not in OURS}


def draft_view(draft: Draft, response: Response) -> DraftView:
    """The draft as it is shown; its number becomes the ETag."""
    response.headers["ETag"] = etag(draft.draft_version)
    return listed_draft(draft)


def listed_draft(draft: Draft) -> DraftView:
    """The draft as it is shown in a list."""
    fields = draft.body | {
        "key": draft.key,
        "status": draft.status.value,
        "version": draft.live_version,
        "draft_version": draft.draft_version,
        "created_at": draft.created_at,
        "updated_at": draft.updated_at,
        "updated_by": draft.updated_by,
    }
    return DraftView.model_validate(fields)


def version_view(version: Version) -> VersionView:
    """The version as it is shown."""
    fields = version.body | {
        "key": version.key,
        "version": version.version,
        "published_at": version.published_at,
        "published_by": version.published_by,
    }
    return VersionView.model_validate(fields)
