"""The two markers that tie a function to the hooks of this package."""

from __future__ import annotations

from typing import Final

import pluggy

PROJECT_NAME: Final = "persamhq_video"

hookspec = pluggy.HookspecMarker(PROJECT_NAME)
hookimpl = pluggy.HookimplMarker(PROJECT_NAME)
