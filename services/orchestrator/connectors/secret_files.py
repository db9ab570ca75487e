"""The secrets of connectors: files in one folder of the deployment, named by a channel's `…_ref`.

They are read when they are used, so an exchanged file counts at once. Nothing here, or in what is
raised, ever shows what is in one.
"""

import asyncio
import base64
import binascii
from pathlib import Path

from services.orchestrator.domain.connector import SECRET_REF

MAX_BYTES = 8_192
SIGNING_PREFIX = "whsec_"
MIN_KEY, MAX_KEY = 24, 64


class SecretMissing(Exception):  # noqa: N818  says what happened
    """There is no usable secret of this name; `str()` says why, never what it holds."""


class SecretFolder:
    """The folder; None where the deployment has none."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    async def signing_keys(self, ref: str) -> list[bytes]:
        """The keys of a webhook: one `whsec_…` a line, all of them sign. Raises SecretMissing."""
        keys = []
        for line in await self._lines(ref):
            try:
                key = base64.b64decode(line.removeprefix(SIGNING_PREFIX), validate=True)
            except binascii.Error:
                key = b""
            if not line.startswith(SIGNING_PREFIX) or not MIN_KEY <= len(key) <= MAX_KEY:
                raise SecretMissing(f"{ref}: a line is no {SIGNING_PREFIX} with {MIN_KEY} to "
                                    f"{MAX_KEY} bytes in base 64")  # fmt: skip
            keys.append(key)
        return keys

    async def password(self, ref: str, host: str) -> str:
        """The password for a host: a line `<host> <password>`. It is shown to no other host,
        whatever the channel's document says. Raises SecretMissing."""
        for line in await self._lines(ref):
            named, _, password = line.partition(" ")
            if named.lower() == host.lower() and password.strip():
                return password.strip()
        raise SecretMissing(f"{ref}: no line is for this host")

    async def _lines(self, ref: str) -> list[str]:
        if self._folder is None:
            raise SecretMissing(f"{ref}: the deployment has no folder of secrets")
        if SECRET_REF.fullmatch(ref) is None:
            raise SecretMissing("the reference is no name of a file")
        try:
            text = await asyncio.to_thread(_read, self._folder / ref)
        except (OSError, UnicodeDecodeError) as error:
            raise SecretMissing(f"{ref}: {type(error).__name__}") from None
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if not lines:
            raise SecretMissing(f"{ref}: the file is empty")
        return lines


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(MAX_BYTES).decode()
