"""What every role shows when it is scraped after the demo: the page, and never an id."""

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.conftest import Shop

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
MOST_SERIES = 3_000
IDS = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|@|^t[0-9a-f]{10}\.|\d{6,}"
)


def documented() -> set[str]:
    return set(re.findall(r"^\| \[`(concert_\w+)`\]", PAGE.read_text(), re.MULTILINE))


async def test_the_page_equals_a_scrape_of_every_role(
    first_run: tuple[int, str], shop: Shop
) -> None:
    assert first_run[0] == 0
    names = documented()
    assert names
    for label, process in shop.concert.running.items():
        families = list(text_string_to_metric_families(await process.metrics()))
        shown = {_documented_name(family.name, family.type) for family in families}
        assert shown == names, label
        series = [sample for family in families for sample in family.samples]
        assert len(series) < MOST_SERIES, f"{label}: {len(series)} series"
        values = {
            value
            for sample in series
            for name, value in sample.labels.items()
            if name != "le"  # the edges of a histogram
        }
        assert not [value for value in values if IDS.search(value)], label


def _documented_name(name: str, kind: str) -> str:
    return f"{name}_total" if kind == "counter" else name
