"""Hook of mkdocs: pages link to files of the repository, which are not on the site; there the name stands for the link.

With `repo_url` in mkdocs.yml the link leads there. A link to a file that is not in the repository is left as it is, so
that a strict build fails on it.
"""

from __future__ import annotations

import os.path
import re
from pathlib import Path
from typing import Any

_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>\.\./[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """The page with its links to files outside the documentation made fit for the site."""
    root, docs = Path(config.config_file_path).parent, Path(config.docs_dir)
    folder = (docs / page.file.src_path).parent

    def on_site(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(folder / link["target"]))
        if target.is_relative_to(docs) or not target.is_relative_to(root) or not target.exists():
            return link[0]
        if not config.repo_url:
            return link["text"]
        address = f"{config.repo_url.rstrip('/')}/blob/main/{target.relative_to(root)}{link['anchor'] or ''}"
        return f"[{link['text']}]({address})"

    return _LINK.sub(on_site, markdown)
