"""`python -m deploy.demo`: exit code 0 only if everything it shows is as it should be."""

import asyncio
import sys

from deploy.demo.concert import Access
from deploy.demo.errors import DemoError
from deploy.demo.run import run


def main() -> int:
    """Run the demo; a DemoError is one line."""
    try:
        return asyncio.run(run(Access()))
    except DemoError as error:
        print(f"concert demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
