"""`python -m tests.contract.openapi`: write the documents of `docs/contracts/` anew.

Refuses when a user of the present ones would break; `--accept-breaking` writes them all the same
(a broken contract needs a decision record in `docs/adr/`).
"""

import sys

from tests.contract.openapi.documents import FOLDER, write

ACCEPT = "--accept-breaking"


def main(arguments: list[str]) -> int:
    """Exit code: 0 written, 1 refused, 2 not understood."""
    if unknown := [argument for argument in arguments if argument != ACCEPT]:
        print(f"unknown: {' '.join(unknown)}; the only option is {ACCEPT}")
        return 2
    accepted = ACCEPT in arguments
    found = write(FOLDER, accept_breaking=accepted)
    for line in found:
        print(f"breaking: {line}")
    if found and not accepted:
        print("Nothing was written.")
        return 1
    print(f"Written to {FOLDER}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
