"""Bodies and answers of configuration that only the orchestrator has."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from services.orchestrator.domain.channel import Channel
from services.orchestrator.storage.saved import Saved
from shared.errors import Problem
from shared.http.drafts import Warned, warned


class SavedView(BaseModel):
    """A template or channel: the document's fields, and these. Version 0 was never saved."""

    model_config = ConfigDict(extra="allow")

    key: str
    version: int
    saved_at: datetime | None
    saved_by: str | None
    warnings: list[Warned] | None = Field(None, exclude_if=lambda found: found is None)


class PublishRequest(BaseModel):
    """Rules and contact policies have nothing running that could keep an old version."""

    model_config = ConfigDict(extra="forbid")


def saved_view(saved: Saved, warnings: Sequence[Problem] = ()) -> SavedView:
    """The template or channel as it is shown; what is said of it when it is saved."""
    fields = saved.body | {
        "key": saved.key,
        "version": saved.version,
        "saved_at": saved.saved_at,
        "saved_by": saved.saved_by,
        "warnings": warned(warnings),
    }
    return SavedView.model_validate(fields)


def default_channel_view(channel: Channel) -> SavedView:
    """A channel that is there without having been saved, as the document that would make it."""
    fields = {
        "key": channel.key,
        "version": channel.version,
        "saved_at": None,
        "saved_by": None,
        "kind": "online" if channel.online else "offline",
        "enabled": channel.enabled,
        "connector": "kafka",
        "delivery": channel.delivery,
        "address": {"identifiers": list(channel.address), "trait": channel.trait},
    }
    return SavedView.model_validate(fields)
