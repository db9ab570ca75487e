"""Bodies and answers of configuration that only the orchestrator has."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from services.orchestrator.domain.channel import Channel
from services.orchestrator.storage.saved import Saved


class SavedView(BaseModel):
    """A template or channel: the document's fields, and these. Version 0 was never saved."""

    model_config = ConfigDict(extra="allow")

    key: str
    version: int
    saved_at: datetime | None
    saved_by: str | None


class PublishRequest(BaseModel):
    """Rules and contact policies have nothing running that could keep an old version."""

    model_config = ConfigDict(extra="forbid")


def saved_view(saved: Saved) -> SavedView:
    """The template or channel as it is shown."""
    fields = saved.body | {
        "key": saved.key,
        "version": saved.version,
        "saved_at": saved.saved_at,
        "saved_by": saved.saved_by,
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
