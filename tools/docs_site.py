"""A hook of mkdocs: links that leave docs/ lead to the repository, where those files are."""

import re
from pathlib import PurePosixPath
from posixpath import normpath
from typing import Any, Final

LINK: Final = re.compile(r"\]\((?!https?:|#|/)([^)\s#]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:  # noqa: ARG001 - mkdocs passes all
    """The page with such links made absolute."""
    folder = PurePosixPath("docs", page.file.src_uri).parent
    return LINK.sub(lambda link: outside(link, folder, str(config.repo_url).rstrip("/")), markdown)


def outside(link: "re.Match[str]", folder: PurePosixPath, repository: str) -> str:
    """One link; untouched where its target is a page of the site."""
    path, anchor = normpath(str(folder / link[1])), link[2] or ""
    return link[0] if path.startswith("docs/") else f"]({repository}/blob/main/{path}{anchor})"
