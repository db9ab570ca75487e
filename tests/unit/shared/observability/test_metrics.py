"""The catalogue: closed label sets, bounded series, SLO edges, and the page that describes it."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import CollectorRegistry

from shared.observability import metrics
from shared.observability.catalogue import page
from shared.observability.lag import Lag
from shared.observability.registry import CATALOGUE, OTHER, REGISTRY, Fold

ROOT = Path(__file__).parents[4]
SERIES_LIMIT = 3000


def scraped() -> dict[str, list[tuple[str, dict[str, str], float]]]:
    """Samples by the name of their family, as the page names it."""
    families: dict[str, list[tuple[str, dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(generate_latest(REGISTRY).decode()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        families[name] = [(s.name, s.labels, s.value) for s in family.samples]
    return families


def test_a_scrape_has_exactly_the_metrics_of_the_catalogue() -> None:
    metrics.start("ingest", "worker", "1.0")
    assert set(scraped()) == {entry.name for entry in CATALOGUE}


def test_the_page_is_fresh() -> None:
    written = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert written == page(), "run: python -m shared.observability.catalogue docs/metrics.md"


def test_every_metric_says_when_it_moves_and_what_to_do() -> None:
    for entry in CATALOGUE:
        assert entry.name.startswith("concert_"), entry.name
        assert (entry.kind == "counter") == entry.name.endswith("_total"), entry.name
        for sentence in (entry.description, entry.moves, entry.act):
            assert sentence.endswith("."), (entry.name, sentence)
    assert len({entry.name for entry in CATALOGUE}) == len(CATALOGUE)


def test_known_label_values_are_scraped_before_anything_happened() -> None:
    metrics.start("ingest", "worker", "1.0")
    labels = [labels for _, labels, _ in scraped()["concert_dead_letters_total"]]
    assert {"topic": "channel", "reason": "too_large"} in labels
    assert {"topic": "touchpoints", "reason": OTHER} in labels


def test_no_created_series_are_scraped() -> None:
    assert not any(
        sample.endswith("_created") for samples in scraped().values() for sample, _, _ in samples
    )


def test_the_threshold_of_the_decision_slo_is_an_edge() -> None:
    (entry,) = [e for e in CATALOGUE if e.name == "concert_event_to_decision_seconds"]
    assert 1 in entry.buckets
    assert list(entry.buckets) == sorted(entry.buckets)


def test_a_thousand_channels_and_a_whole_api_stay_below_the_limit() -> None:
    """In a process of its own: in this one, the series of every role meet."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        series, one_more = fresh.submit(the_worst_a_role_can_be_made_to_do).result()
    assert 1000 < series < SERIES_LIMIT
    assert one_more == OTHER


def the_worst_a_role_can_be_made_to_do() -> tuple[int, str]:
    """Use every door, label and route; the number of series, and what a late channel is called."""
    metrics.start("orchestrator", "worker", "1.0")
    metrics.start_routes([("GET", f"/v1/things{n}/{{key}}") for n in range(60)])
    for number in range(1000):
        name = f"channel_{number}"
        channel = metrics.channel_label(name)
        for door in metrics.DOORS:
            metrics.EVENTS_RECEIVED.labels(channel=channel, door=door).inc()
            metrics.EVENTS_PUBLISHED.labels(channel=channel, door=door).inc()
        for reason in metrics.DEAD_REASONS:
            metrics.EVENTS_FAILED.labels(channel=channel, reason=reason).inc()
        for kind in metrics.ACTION_KINDS:
            metrics.ACTIONS.labels(channel=channel, kind=kind).inc()
        topic = metrics.topic_label(f"actions.{name}")
        metrics.OUTBOX_PUBLISHED.labels(topic=topic).inc()
        metrics.LAG.note(f"channel.{name}", 0, 1, 1.0)
    return sum(len(samples) for samples in scraped().values()), metrics.channel_label("one_more")


@pytest.mark.parametrize("value", ["ada@b.c", "A B", "x" * 65, "", "web\n"])
def test_free_text_never_becomes_a_label(value: str) -> None:
    assert Fold(["web"], 10)(value) == OTHER


def test_a_fold_lets_the_first_ones_through_and_goes_on_doing_so() -> None:
    fold = Fold(["web"], 2)
    assert [fold(value) for value in ("a", "b", "web", "a")] == ["a", OTHER, "web", "a"]


def test_topics_lose_the_prefix_of_the_deployment() -> None:
    metrics.start("ingest", "worker", "1.0", topic_prefix="blue.")
    try:
        assert metrics.topic_label("blue.channel.web") == "channel.web"
        assert metrics.topic_label("blue.channel.web.dlq") == "channel.web.dlq"
        assert metrics.topic_label("blue.profile.updates") == "profile.updates"
        assert metrics.topic_label("somebody-elses") == OTHER
        assert metrics.topic_kind("blue.channel.web") == "channel"
        assert metrics.topic_kind("blue.profile.updates") == "profile_updates"
        assert metrics.topic_kind("blue.decisions") == OTHER
    finally:
        metrics.start("ingest", "worker", "1.0")


def test_reasons_outside_of_the_contract_become_other() -> None:
    assert metrics.reason_label("too_large") == "too_large"
    assert metrics.reason_label("KeyError: 'ada@b.c'") == OTHER


class TestLag:
    """Age is computed at the scrape; partitions are folded into their topic."""

    @pytest.fixture
    def registry(self) -> CollectorRegistry:
        return CollectorRegistry()

    @pytest.fixture
    def lag(self, registry: CollectorRegistry) -> Lag:
        before = len(CATALOGUE)
        made = Lag(lambda topic: topic, registry)
        del CATALOGUE[before:]
        return made

    def test_messages_add_up_and_the_oldest_watermark_counts(
        self, lag: Lag, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("shared.clock.unix_seconds", lambda: 1000.0)
        lag.note("t", 0, 5, 990.0)
        lag.note("t", 1, 7, 950.0)
        assert registry.get_sample_value("concert_consumer_lag_messages", {"topic": "t"}) == 12
        assert registry.get_sample_value("concert_consumer_lag_seconds", {"topic": "t"}) == 50
        assert (
            registry.get_sample_value("concert_watermark_timestamp_seconds", {"topic": "t"}) == 950
        )
        assert registry.get_sample_value("concert_assigned_partitions", {"topic": "t"}) == 2

    def test_it_grows_while_the_worker_hangs(
        self, lag: Lag, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("shared.clock.unix_seconds", lambda: 1000.0)
        lag.note("t", 0, 5, 990.0)
        monkeypatch.setattr("shared.clock.unix_seconds", lambda: 1060.0)
        assert registry.get_sample_value("concert_consumer_lag_seconds", {"topic": "t"}) == 70

    def test_an_idle_topic_is_up_to_date(
        self, lag: Lag, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("shared.clock.unix_seconds", lambda: 1000.0)
        lag.note("t", 0, 0, 10.0)
        assert registry.get_sample_value("concert_consumer_lag_seconds", {"topic": "t"}) == 0

    def test_without_a_watermark_the_former_one_stays(
        self, lag: Lag, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("shared.clock.unix_seconds", lambda: 1000.0)
        lag.note("t", 0, 5, 990.0)
        lag.note("t", 0, 9, None)
        assert registry.get_sample_value("concert_consumer_lag_seconds", {"topic": "t"}) == 10

    def test_a_partition_that_was_given_away_is_no_longer_shown(
        self, lag: Lag, registry: CollectorRegistry
    ) -> None:
        lag.note("t", 0, 5, 990.0)
        lag.forget("t", 0)
        assert registry.get_sample_value("concert_assigned_partitions", {"topic": "t"}) is None
