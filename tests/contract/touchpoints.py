"""`python -m tests.contract.touchpoints`: write `docs/touchpoints.md` anew."""

from pathlib import Path

from services.ingest.domain.semantic_names import page

PAGE = Path(__file__).parents[2] / "docs" / "touchpoints.md"

if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
