"""Failed events as people see them, with personal data only for who may see it."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from services.ingest.api.viewers import Viewer
from services.ingest.domain.failed_event import Status
from services.ingest.domain.fingerprint import unquoted
from services.ingest.storage.failed_views import FailedEventRow, GroupRow, WholeRow
from services.ingest.use_cases.replay_failed_events import EXAMPLE_BYTES, Outcome, Trial
from shared.observability.masking import MASK, clean

SHOWN_BYTES = 256 * 1024


class FailedEventView(BaseModel):
    """A failed event without its payload. `size` is in bytes."""

    id: UUID
    channel: str
    source: str | None
    event_type: str | None
    received_at: datetime
    failed_at: datetime
    stage: str
    reason: str
    path: str | None
    message: str
    fingerprint: str
    size: int
    whole: bool = Field(description="False: only the beginning was kept, it cannot be replayed.")
    status: Status
    attempts: int
    replay_id: UUID | None


class HeaderView(BaseModel):
    """A header of the raw record, as text."""

    name: str
    value: str


class FailedEventDetail(FailedEventView):
    """A failed event as it came."""

    topic: str
    partition: int
    offset: int
    sha256: str
    key: str | None
    headers: list[HeaderView]
    payload: str | None = Field(
        description="The bytes as text, up to 256 KiB. Null without any, and for who may not see"
        " personal data when it cannot be masked because it is no object of JSON or form."
    )
    masked: bool


class GroupView(BaseModel):
    """Failed events with the same mistake; `sentence` quotes no value of any event."""

    fingerprint: str
    count: int
    first_seen: datetime
    last_seen: datetime
    example_id: UUID
    channel: str
    source: str | None
    event_type: str | None
    reason: str
    path: str | None
    sentence: str


class RemainingError(BaseModel):
    """Why an event would fail still."""

    reason: str
    path: str | None
    message: str


class Example(BaseModel):
    """An event before and after the steps, up to 16 KiB each; `error` null when it would pass."""

    id: UUID
    before: str | None
    after: str | None
    error: RemainingError | None


class ReplayAnswer(BaseModel):
    """What a replay did, or would do.

    `passing` and `failing` events are published, `skipped` ones (by reason) are not: no step can
    help them. `historical` of the passing are too old to make Concert write to anyone.
    `more`: there are others that fit the filter, beyond what one call takes.
    """

    replay_id: UUID | None
    dry_run: bool
    selected: int
    more: bool
    passing: int
    failing: int
    skipped: dict[str, int]
    historical: int
    published: int
    examples: list[Example]


def view_of(row: FailedEventRow, viewer: Viewer) -> FailedEventView:
    """One item of a list."""
    message = viewer.sentence(row.message, row.source)
    return FailedEventView(**{**row._asdict(), "message": message})


def detail_of(row: WholeRow, viewer: Viewer) -> FailedEventDetail:
    """The whole of it."""
    view, personal = view_of(row.view, viewer), viewer.sees_personal_data
    key = None if row.key is None else _text(row.key, SHOWN_BYTES)
    return FailedEventDetail(
        **view.model_dump(),
        topic=row.topic,
        partition=row.part,
        offset=row.position,
        sha256=row.sha256.hex(),
        key=key if personal or key is None else MASK,
        headers=[
            HeaderView(name=name, value=_text(value, 1024) if personal else MASK)
            for name, value in row.headers
        ],
        payload=viewer.sent(row.raw, row.headers, row.view.source, SHOWN_BYTES),
        masked=not personal,
    )


def group_of(row: GroupRow) -> GroupView:
    """One group, with a sentence that says what is wrong with all of them."""
    fields = row._asdict()
    message = clean(unquoted(fields.pop("message")))
    where = "" if row.path is None else f"{row.path}: "
    who = " of ".join(part for part in (row.event_type, row.source) if part)
    count = fields.pop("failures")
    return GroupView(
        **fields, count=count, sentence=f"{who}: {where}{message}" if who else where + message
    )


def replay_answer(outcome: Outcome, viewer: Viewer, *, dry_run: bool) -> ReplayAnswer:
    """The answer of `:replay`."""
    return ReplayAnswer(
        replay_id=outcome.replay_id,
        dry_run=dry_run,
        selected=outcome.selected,
        more=outcome.more,
        passing=outcome.passing,
        failing=outcome.failing,
        skipped=outcome.skipped,
        historical=outcome.historical,
        published=outcome.published,
        examples=[_example(trial, viewer) for trial in outcome.examples],
    )


def _example(trial: Trial, viewer: Viewer) -> Example:
    error, source = trial.error, trial.kept.source
    return Example(
        id=trial.kept.id,
        before=viewer.sent(trial.kept.raw, trial.kept.headers, source, EXAMPLE_BYTES),
        after=viewer.sent(trial.value, trial.headers, source, EXAMPLE_BYTES),
        error=None
        if error is None
        else RemainingError(
            reason=error.reason, path=error.path, message=viewer.sentence(error.detail, source)
        ),
    )


def _text(content: bytes, most: int) -> str:
    return content[:most].decode("utf-8", "replace")
