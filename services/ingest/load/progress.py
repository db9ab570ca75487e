"""Says how far it is: on a terminal one line that is written over, elsewhere one now and then."""

from typing import TextIO

from shared import clock

TERMINAL_SECONDS = 0.2
LOG_SECONDS = 5.0
BAR = 24


class Progress:
    """Shows progress on `stream`. Rates count from the start of this run."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self._bar = stream.isatty()
        self._begun: tuple[float, float, int] | None = None
        self._shown_at = 0.0
        self._open = False

    def show(self, done: float, rows: int, rejected: int, *, last: bool = False) -> None:
        """`done` (0 to 1) of the file is through, with so many rows. Written only now and then."""
        now = clock.monotonic_seconds()
        if self._begun is None:
            self._begun = (now, done, rows)
        if not last and now - self._shown_at < (TERMINAL_SECONDS if self._bar else LOG_SECONDS):
            return
        self._shown_at = now
        began, done_then, rows_then = self._begun
        line = progress_line(
            self._name,
            done,
            rows=rows,
            rejected=rejected,
            rate=(rows - rows_then) / max(now - began, 0.001),
            left=_seconds_left(done - done_then, 1 - done, now - began),
            bar=self._bar,
        )
        self._stream.write(f"\r\x1b[K{line}" if self._bar else f"{line}\n")
        self._open = self._bar
        self._stream.flush()

    def say(self, text: str) -> None:
        """A line that stays."""
        self._stream.write(f"\n{text}\n" if self._open else f"{text}\n")
        self._stream.flush()
        self._open = False


def progress_line(
    name: str,
    done: float,
    *,
    rows: int,
    rejected: int,
    rate: float,
    left: float | None,
    bar: bool,
) -> str:
    """The line; `rate` in rows a second, `left` in seconds, None when that cannot be told yet."""
    done = min(max(done, 0.0), 1.0)
    full = int(done * BAR)
    drawn = f"[{'#' * full}{'-' * (BAR - full)}] " if bar else ""
    bad = f", {rejected:,} rejected" if rejected else ""
    ends = "" if left is None else f", {_clock(left)} left"
    return f"{name} {drawn}{done:4.0%}  {rows:,} rows{bad}, {rate:,.0f}/s{ends}"


def _seconds_left(done: float, missing: float, seconds: float) -> float | None:
    return seconds * missing / done if done > 0 and seconds > 1 and missing > 0 else None


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
