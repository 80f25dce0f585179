"""`python -m gateway.cli` is `labgate`."""

import sys

from gateway.cli import main

sys.exit(main())
