"""`python -m simulators NAME`: the same as `labgate simulate NAME`."""

import sys

from simulators.command import main

sys.exit(main(sys.argv[1:]))
