"""`python -m deploy.local {run,up,down,status}`."""

import sys

from deploy.local.run import main

sys.exit(main(sys.argv[1:]))
