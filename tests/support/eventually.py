"""Wait for a fact instead of sleeping: poll until it holds, or fail with what was last seen."""

import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

import anyio

T = TypeVar("T")


@overload
async def eventually(
    probe: Callable[[], Awaitable[T]],
    *,
    until: Callable[[T], object] = bool,
    within: float = 60.0,
    every: float = 0.1,
    retrying: tuple[type[Exception], ...] = (AssertionError,),
    what: str = "",
) -> T: ...


@overload
async def eventually(
    probe: Callable[[], T],
    *,
    until: Callable[[T], object] = bool,
    within: float = 60.0,
    every: float = 0.1,
    retrying: tuple[type[Exception], ...] = (AssertionError,),
    what: str = "",
) -> T: ...


async def eventually(
    probe: Callable[[], Any],
    *,
    until: Callable[[Any], object] = bool,
    within: float = 60.0,
    every: float = 0.1,
    retrying: tuple[type[Exception], ...] = (AssertionError,),
    what: str = "",
) -> Any:
    """Call `probe` every `every` seconds until `until` holds for its value; that value.

    The default `until` is "is true". Exceptions in `retrying` count as "not yet". After `within`
    seconds it fails, with the last value or exception in the message. Time is in seconds.
    """
    deadline = time.monotonic() + within
    tries = 0
    while True:
        tries += 1
        try:
            found = probe()
            value = await found if inspect.isawaitable(found) else found
            if until(value):
                return value
            last = f"last value: {value!r}"
        except retrying as error:
            last = f"last error: {type(error).__name__}: {error}"
        if time.monotonic() >= deadline:
            raise AssertionError(
                f"{what or 'it'} did not come true within {within:g} s ({tries} tries); {last}"
            )
        await anyio.sleep(every)
