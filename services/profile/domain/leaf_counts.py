"""What a snapshot says of the registered event leaves: how often, and when that changes."""

from collections.abc import Iterator

import msgspec

from services.profile.domain.definitions import Look
from services.profile.domain.instants import instant_text
from services.profile.domain.working_profile import WorkingProfile
from shared.conditions.windows import count_in

MAX_LEAVING = 10
"""Of how many touchpoints in a window a snapshot says when they leave it, beside the first."""

_encode = msgspec.json.Encoder().encode


def leaf_members(profile: WorkingProfile, look: Look) -> bytes:
    """The leaves as the members of a JSON object.

    The count of a window is what it was when it last grew, or when the profile was last looked at;
    `until` says until when it holds, `leaving` when each of the next ones leaves the window.
    """
    return b",".join(
        b'"%b":{"count":%d%b,"until":%b}' % (name.encode(), count, _leaving(later), _encode(until))
        for name, count, until, later in _shown(profile, look)
    )


def _shown(profile: WorkingProfile, look: Look) -> Iterator[tuple[str, int, str | None, list[str]]]:
    """Hash, count, when it changes by time alone, and then again."""
    for name, stream, within, _ in look.definitions.shown:
        tally = profile.tallies.of(stream, look.definitions.streams[stream].keep)
        if tally is None or within is None:
            yield name, 0 if tally is None else tally.count, None, []
        else:
            count = count_in(tally.recent, within, look.now)
            first = max(count - 1 - MAX_LEAVING, 0)
            leaving = [instant_text(one + within) for one in tally.recent[first:count]]
            yield name, count, leaving.pop() if leaving else None, leaving[::-1]


def _leaving(instants: list[str]) -> bytes:
    return b',"leaving":%b' % _encode(instants) if instants else b""
