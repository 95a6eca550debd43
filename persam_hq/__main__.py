"""`python -m persam_hq`: the command `persam-hq`."""

import sys

from persam_hq.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
