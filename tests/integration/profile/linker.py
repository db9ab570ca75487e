"""The linker's work on a real database, without its process."""

from pathlib import Path
from tempfile import gettempdir

from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.domain.absorb import Rules
from services.profile.use_cases.find_links import Linker


def linker_on(engine: AsyncEngine, *, member: str = "one", max_pairs: int = 1_000_000) -> Linker:
    """A linker that serves the batches of this database."""
    return Linker(
        engine,
        member=member,
        rules=Rules,
        folder=Path(gettempdir()) / "concert-linker-tests",
        memory_mb=512,
        threads=2,
        max_pairs=max_pairs,
    )
