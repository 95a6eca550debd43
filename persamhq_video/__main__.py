"""`python -m persamhq_video` is `persamhq-video`."""

import sys

from persamhq_video.cli import main

sys.exit(main())
