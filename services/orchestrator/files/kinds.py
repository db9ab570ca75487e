"""What is kept as files: each kind has a folder, and a place in the order of applying."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from services.orchestrator.storage import saved
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.check_configuration import check_draft, check_saved
from shared.postgres.drafts import Body


@dataclass(frozen=True, slots=True)
class FileKind:
    """`folder` is also the last part of its path in the API. What is `drafted` is published after
    it was saved, and can be paused and archived; the rest is live as soon as it is saved. Of a kind
    that is `entwined`, one names others: all are saved before any is published. What is not
    `pausable` is live or archived."""

    folder: str
    words: str
    drafted: bool
    check: Callable[[str, Body], None]
    """Raises Unprocessable with every mistake of a document under a key."""
    entwined: bool = False
    pausable: bool = True


KINDS = (
    FileKind("channels", "channel", False, partial(check_saved, saved.Kind.CHANNEL)),
    FileKind("resources", "resource", False, partial(check_saved, saved.Kind.RESOURCE)),
    FileKind("templates", "template", False, partial(check_saved, saved.Kind.TEMPLATE)),
    FileKind("contact-policies", "contact policy", True, partial(check_draft, Kind.CONTACT_POLICY)),
    FileKind(
        "experiments", "experiment", True, partial(check_draft, Kind.EXPERIMENT), pausable=False
    ),
    FileKind("rules", "rule", True, partial(check_draft, Kind.RULE)),
    FileKind("journeys", "journey", True, partial(check_draft, Kind.JOURNEY), entwined=True),
)
"""In the order in which one may name the other: rules and journeys name
templates, channels and resources, rules experiments."""
