"""Prints how good identity is at other rates of what goes wrong, for docs/identity.md."""

import sys
from dataclasses import replace

from services.profile.domain.absorb import Rules
from services.profile.domain.identity import IdentifierType, IdentityRules
from tests.support.people import People, Rates
from tests.unit.profile.test_world_of_people import SEED, across_a_veto, made_of

PEOPLE = 20_000
USUAL = Rates()
RATES = {
    "as tested": USUAL,
    "mailboxes 0.1 %": replace(USUAL, shared_mailbox=0.001),
    "mailboxes 1 %": replace(USUAL, shared_mailbox=0.01),
    "telephones 1 %": replace(USUAL, recycled_phone=0.01),
    "browsers 1 % of logins": replace(USUAL, foreign_browser=0.01),
    "all three 1 %": replace(USUAL, shared_mailbox=0.01, recycled_phone=0.01, foreign_browser=0.01),
    "all three 1 %, all with an account": replace(
        USUAL, shared_mailbox=0.01, recycled_phone=0.01, foreign_browser=0.01, known=1.0
    ),
}
STRICT = Rules(
    identity=IdentityRules(
        types=dict(IdentityRules().types)
        | {"loyalty_id": IdentifierType("loyalty_id", limit=1, veto=True)}
        | {name: IdentifierType(name, limit=1) for name in ("email", "phone")}
    )
)
"""One e-mail and one phone each, and a card that only ever names one person."""


def main() -> None:
    """One row of the table for each."""
    for name, rates in RATES.items():
        for rules_name, rules in (("built in", Rules()), ("one of each", STRICT)):
            if rules is STRICT and name not in ("as tested", "all three 1 %"):
                continue
            world, found = made_of(People(PEOPLE, SEED, rates), rules)
            sys.stdout.write(
                f"| {name} | {rules_name} | {found.precision:.4f} | {found.recall:.3f} | "
                f"{found.of_connected:.4f} | {len(across_a_veto(world))} |\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
