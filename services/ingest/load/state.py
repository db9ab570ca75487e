"""How far a load got: a small file beside the batch file, written after each acknowledged batch.

It is only believed for the same content, source, mapping and marking. Losing it costs time, not
truth: a row that is sent again has the same id.
"""

import json
from pathlib import Path
from typing import Any

import msgspec

from shared.errors import Misconfigured

STATE_SUFFIX = ".concert-load.json"
REJECTED_SUFFIX = ".rejected.jsonl"


class LoadState(msgspec.Struct, kw_only=True):
    """What was sent so far. `position` is where the file is read on, `rejected_bytes` how long the
    list of rejected rows was when that held.
    """

    content: str
    source: str
    mapping: str
    live: bool
    row: int = 0
    position: int = 0
    sent: int = 0
    rejected: int = 0
    rejected_bytes: int = 0
    done: bool = False

    def same_load(self, other: "LoadState") -> bool:
        """Whether both are about the same rows sent in the same way."""
        return (self.content, self.source, self.mapping, self.live) == (
            other.content,
            other.source,
            other.mapping,
            other.live,
        )


def state_path(file: Path) -> Path:
    return file.with_name(file.name + STATE_SUFFIX)


def rejected_path(file: Path) -> Path:
    return file.with_name(file.name + REJECTED_SUFFIX)


def read_state(path: Path, wanted: LoadState) -> LoadState | None:
    """The state at `path`, None when there is none for this load.

    Raises Misconfigured for a file that is no state.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=LoadState)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise Misconfigured([f"{path}: {error}; --from-start does without it"]) from None
    return found if found.same_load(wanted) else None


def write_state(path: Path, state: LoadState) -> None:
    """Write it in one step: after a crash there is the old one or the new one."""
    new = path.with_name(path.name + ".new")
    new.write_bytes(msgspec.json.encode(state) + b"\n")
    new.replace(path)


class Rejected:
    """The list of rejected rows. It is personal data as the file itself: readable by its owner."""

    def __init__(self, path: Path, size: int) -> None:
        """Go on with the list at `path` behind its first `size` bytes."""
        self._path = path
        if path.exists():
            with path.open("r+b") as file:
                file.truncate(min(size, path.stat().st_size))

    def add(self, rows: list[dict[str, Any]]) -> int:
        """Append rows; how long the list is now, in bytes."""
        if not rows:
            return self._path.stat().st_size if self._path.exists() else 0
        self._path.touch(0o600)
        with self._path.open("ab") as file:
            file.writelines(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
            file.flush()
            return file.tell()
