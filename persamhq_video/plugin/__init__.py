"""Plugins: the marker for hooks and the register that a hook is handed, which are all that a plugin imports from here.

The modules load plugins and hold what they register. The manager is not imported here: a plugin is loaded by it, and
sees nothing of it.
"""

from persamhq_video.plugin.markers import hookimpl
from persamhq_video.plugin.registry import Register

__all__ = ["Register", "hookimpl"]
