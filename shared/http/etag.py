"""Versions of what can be edited: `ETag` out, `If-Match` in, 412 when somebody was faster; and
`If-None-Match` in, 304 when nothing is new; with `*`, a write only makes what is not there.

Strong tags only: a tag is the version number in quotes.
"""

from typing import Annotated

from fastapi import Header

from shared.errors import Malformed, PreconditionFailed

MAX_HEADER = 500

IfMatch = Annotated[str | None, Header(max_length=MAX_HEADER)]
"""A handler's parameter `if_match: IfMatch = None`."""


IfNoneMatch = Annotated[str | None, Header(max_length=MAX_HEADER)]
"""A handler's parameter `if_none_match: IfNoneMatch = None`."""


def etag(version: int) -> str:
    """The tag of a version, for the header `ETag`."""
    return f'"{version}"'


def check_if_match(header: str | None, version: int | None) -> None:
    """Let the write go on only if `header` allows it; `version` is None when nothing is there yet.

    Call it in the transaction of the write, after the row was locked. Without the header any
    version may be overwritten. Raises PreconditionFailed, Malformed.
    """
    if header is None:
        return
    tags = [tag.strip() for tag in header.split(",")]
    if version is not None and ("*" in tags or etag(version) in tags):
        return
    if any(not _is_tag(tag) for tag in tags):
        raise Malformed("If-Match takes `*` or tags in quotes, as ETag gave them.")
    present = "nothing is there yet" if version is None else f"it is at version {version}"
    raise PreconditionFailed(f"If-Match is {header}, but {present}. Read it again, then write.")


def check_if_none_match(header: str | None, version: int | None) -> None:
    """Let the write go on only if what is there is none of the header's tags; `*` is anything that
    was saved. Call it as `check_if_match`. Raises PreconditionFailed, Malformed.
    """
    if header is None:
        return
    tags = [tag.strip() for tag in header.split(",")]
    if any(not _is_tag(tag) for tag in tags):
        raise Malformed("If-None-Match takes `*` or tags in quotes, as ETag gave them.")
    if version is not None and is_known(header, version):
        raise PreconditionFailed(
            f"If-None-Match is {header}, but it is at version {version}. Read it, then write."
        )


def is_known(header: str | None, version: int) -> bool:
    """Whether the caller's `If-None-Match` names this version, so that 304 is the answer."""
    if header is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or etag(version) in tags


def _is_tag(tag: str) -> bool:
    bare = tag.removeprefix("W/")
    return tag == "*" or (len(bare) >= 2 and bare[0] == bare[-1] == '"')
