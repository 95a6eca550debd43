"""pluggy's markers of this package: `hookspec` declares a hook, `hookimpl` marks a plugin's function as one."""

from __future__ import annotations

from typing import Final

import pluggy

PROJECT_NAME: Final = "persamhq_video"
"""Name of the hooks' project, and of the group of entry points by which installed plugins are found."""

hookspec = pluggy.HookspecMarker(PROJECT_NAME)
hookimpl = pluggy.HookimplMarker(PROJECT_NAME)
