"""The catalogue of names: its page is fresh, and the profile service counts what it says."""

from collections import Counter

from services.ingest.domain.semantic_names import GROUPS, REVENUE, page
from services.profile.domain.sums import ORDER_TYPES
from tests.contract.touchpoints import PAGE

NAMES = [one for names in GROUPS.values() for one in names]


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tests.contract.touchpoints"


def test_each_name_is_said_once_and_explained() -> None:
    assert Counter(one.name for one in NAMES).most_common(1)[0][1] == 1
    for one in NAMES:
        assert one.name == one.name.strip()
        assert one.meaning.endswith(".")
        assert "|" not in one.meaning
        assert len(set(one.properties)) == len(one.properties)


def test_the_orders_are_what_the_profile_service_adds_up() -> None:
    assert set(REVENUE) == ORDER_TYPES
    orders = [one for one in NAMES if "counts as revenue" in one.meaning]
    assert {one.name for one in orders} == ORDER_TYPES
    for one in orders:
        assert {"total", "currency", "order_id"} <= set(one.properties)


def test_the_answers_of_a_survey_have_their_names() -> None:
    (survey,) = (one for one in NAMES if one.name == "Survey Response Submitted")
    assert {"nps", "csat", "ces"} <= set(survey.properties)
