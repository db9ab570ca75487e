"""What has to be done so that a Concert is as the files say; pure."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from services.orchestrator.files.yaml_text import write_yaml

Step = Literal["create", "change", "pause", "resume", "archive"]
LIVE, PAUSED, ARCHIVED = "live", "paused", "archived"


@dataclass(frozen=True, slots=True)
class Present:
    """What is there under a key: the live document (None: nothing was published), its status, and
    the draft with its ETag; what is live on saving is its own draft."""

    document: dict[str, Any] | None
    status: str
    draft: dict[str, Any]
    etag: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a file says: the document, and whether it is `live` or `paused`."""

    document: dict[str, Any]
    status: str = LIVE


@dataclass(frozen=True, slots=True)
class Change:
    """One thing to do. `before` and `after` are documents, None where there is none."""

    folder: str
    key: str
    steps: tuple[Step, ...]
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    etag: str | None
    drops_draft: bool = False

    @property
    def writes(self) -> bool:
        """Whether a document is saved."""
        return self.steps[0] in ("create", "change")

    @property
    def title(self) -> str:
        """In one line: `~ rules/cart-abandon: change, pause`."""
        sign = "+" if "create" in self.steps else "-" if "archive" in self.steps else "~"
        more = " (an unpublished draft is lost)" if self.drops_draft else ""
        return f"{sign} {self.folder}/{self.key}: {', '.join(self.steps)}{more}"

    def lines(self) -> list[str]:
        """The difference between what is there and what will be, line by line, as `diff -u`."""
        if self.before == self.after or self.after is None:
            return []
        old = "" if self.before is None else write_yaml(self.before)
        return list(
            difflib.unified_diff(
                old.splitlines(), write_yaml(self.after).splitlines(), "live", "file", lineterm=""
            )
        )


def plan(
    folder: str, present: Mapping[str, Present], wanted: Mapping[str, Wanted], *, prune: bool
) -> Sequence[Change]:
    """The changes of one kind, by key. With `prune`, what no file names is archived."""
    changes = []
    for key in sorted(present.keys() | wanted.keys()):
        there, file = present.get(key), wanted.get(key)
        if file is not None:
            change = _towards(folder, key, there, file)
        elif prune and there is not None and there.status in (LIVE, PAUSED):
            change = Change(folder, key, ("archive",), there.document, None, there.etag)
        else:
            change = None
        if change is not None:
            changes.append(change)
    return changes


def _towards(folder: str, key: str, there: Present | None, file: Wanted) -> Change | None:
    steps: list[Step] = []
    status = None if there is None else there.status
    document = None if there is None else there.document
    if there is None or document is None or status == ARCHIVED:
        steps.append("create")
    elif document != file.document:
        steps.append("change")
    if file.status == PAUSED and (steps or status != PAUSED):
        steps.append("pause")
    elif file.status == LIVE and status == PAUSED:
        steps.append("resume")
    if not steps:
        return None
    writes = steps[0] in ("create", "change")
    return Change(
        folder,
        key,
        tuple(steps),
        document,
        file.document,
        None if there is None else there.etag,
        drops_draft=writes and there is not None and there.draft not in (document, file.document),
    )
