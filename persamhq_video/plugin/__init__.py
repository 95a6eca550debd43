"""What a plugin needs: the marker for its hooks, and the register that a hook is handed.

The manager is not imported here: a plugin is loaded by it, and sees nothing of it.
"""

from persamhq_video.plugin.markers import hookimpl
from persamhq_video.plugin.registry import Register

__all__ = ["Register", "hookimpl"]
