"""Cuts a batch in two, to find the one record in it that fails."""

from shared.kafka.records import Span


def halves(spans: list[Span]) -> tuple[list[Span], list[Span]]:
    """Two parts with all the records, in order; partitions first, then records of one."""
    if len(spans) > 1:
        middle = len(spans) // 2
        return spans[:middle], spans[middle:]
    span = spans[0]
    middle = len(span.records) // 2
    cut = span.records[middle].offset
    return (
        [Span(span.place, span.start, cut, span.records[:middle])],
        [Span(span.place, cut, span.end, span.records[middle:])],
    )
