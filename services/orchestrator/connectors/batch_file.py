"""Writes a day's file in one step, with its checksum beside it.

The file is there whole or not at all, and the `.sha256` comes after it: whoever waits for that one
never reads half of the other.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MODE = 0o640


@dataclass(frozen=True, slots=True)
class Written:
    """The checksum of a file that is there."""

    sha256: str


def found(folder: Path, name: str) -> Written | None:
    """The file, if it is there whole; then it must not be written again."""
    try:
        content = (folder / name).read_bytes()
    except FileNotFoundError:
        return None
    return Written(hashlib.sha256(content).hexdigest())


async def write(folder: Path, name: str, parts: AsyncIterator[bytes], *, writer: int) -> Written:
    """Write the parts as the file; each writer has an unfinished one of its own. Raises OSError."""
    unfinished = folder / f".{name}.{writer}.part"
    digest, file = hashlib.sha256(), await asyncio.to_thread(_begin, unfinished)
    with file:
        async for part in parts:
            digest.update(part)
            await asyncio.to_thread(file.write, part)
        await asyncio.to_thread(_finish, file, unfinished, folder / name)
    return Written(digest.hexdigest())


def _begin(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, MODE), "wb")


def _finish(file: BinaryIO, unfinished: Path, path: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    unfinished.replace(path)


def seal(folder: Path, name: str, written: Written) -> None:
    """Put the checksum beside the file, in the form of `sha256sum`. Raises OSError."""
    unfinished = folder / f".{name}.sha256.part"
    unfinished.write_text(f"{written.sha256}  {name}\n")
    unfinished.chmod(MODE)
    unfinished.replace(folder / f"{name}.sha256")
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
