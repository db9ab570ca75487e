"""How members share partitions: everybody computes the same shares, and they settle."""

from hypothesis import given
from hypothesis import strategies as st

from shared.kafka.records import Place
from shared.postgres.leases import Lease
from shared.runtime.leases import share


def settle(members: list[str], rows: dict[Place, str | None], rounds: int = 6) -> None:
    """Let every living member tick in turn; owners who left count as free."""
    for _ in range(rounds):
        for member in members:
            leases = [
                Lease(place, owner, owner not in members) for place, owner in sorted(rows.items())
            ]
            held = {place for place, owner in rows.items() if owner == member}
            shares = share(leases, sorted(members), member, held)
            for place in (*shares.surplus, *shares.strays):
                rows[place] = None
            for place in shares.wanted:
                rows[place] = member


@given(
    count=st.integers(1, 6),
    topics=st.dictionaries(st.sampled_from("abcd"), st.integers(1, 9), min_size=1),
    former=st.integers(0, 3),
)
def test_every_partition_gets_one_living_owner_and_shares_are_even(
    count: int, topics: dict[str, int], former: int
) -> None:
    members = [f"m{number}" for number in range(count)]
    rows: dict[Place, str | None] = {
        Place(topic, partition): f"m{former}"
        for topic, n in topics.items()
        for partition in range(n)
    }
    settle(members, rows)
    assert set(rows.values()) <= set(members)
    for topic, partitions in topics.items():
        loads = [
            sum(1 for place, owner in rows.items() if place.topic == topic and owner == member)
            for member in members
        ]
        assert max(loads) - min(loads) <= 1
        assert sum(loads) == partitions


def test_nobody_gives_up_what_is_within_its_share() -> None:
    rows: dict[Place, str | None] = {Place("t", number): "m0" for number in range(8)}
    settle(["m0", "m1"], rows)
    kept = {place for place, owner in rows.items() if owner == "m0"}
    settle(["m0", "m1"], rows)
    assert {place for place, owner in rows.items() if owner == "m0"} == kept
    assert len(kept) == 4


def test_a_row_that_names_us_without_our_knowing_is_claimed_or_given_back() -> None:
    """The reply to a claim was lost, and then another member came."""
    rows = [Lease(Place("t", number), "m0", False) for number in range(4)]
    shares = share(rows, ["m0", "m1"], "m0", set())
    assert len(shares.wanted) == 2
    assert sorted(shares.wanted + shares.strays) == [row.place for row in rows]
