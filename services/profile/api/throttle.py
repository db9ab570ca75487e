"""How often one link may be used: a few times a minute are a person's, more are a program's."""

from collections import OrderedDict
from collections.abc import Callable

from shared import clock
from shared.errors import TooMany

WINDOW_SECONDS = 60.0
MAX_USES = 60
MAX_KNOWN = 10_000


class Throttle:
    """Counts the uses of each key in windows of a minute; of this process alone."""

    def __init__(
        self,
        most: int = MAX_USES,
        now: Callable[[], float] = clock.monotonic_seconds,
    ) -> None:
        self._most = most
        self._now = now
        self._uses: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def use(self, key: str) -> None:
        """Count one use. Raises TooMany beyond the limit."""
        now = self._now()
        began, uses = self._uses.get(key, (now, 0))
        if now - began >= WINDOW_SECONDS:
            began, uses = now, 0
        self._uses[key] = (began, uses + 1)
        self._uses.move_to_end(key)
        while len(self._uses) > MAX_KNOWN:
            self._uses.popitem(last=False)
        if uses >= self._most:
            left = int(began + WINDOW_SECONDS - now) + 1
            raise TooMany("This link is used too often; try again in a minute.", left)
