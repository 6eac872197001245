"""Check a built site: links within it lead somewhere, and everything public is in the reference.

python .ci/check_site.py HTML_DIRECTORY
"""

import importlib
import inspect
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup
from sklearn.base import BaseEstimator
from sphinx.util.inventory import InventoryFile

PUBLIC = ["", ".algorithms", ".baselines", ".datasets", ".inspection", ".model_selection"]
PUBLIC += [".tasks", ".testing"]


def public_names():
    """What the public modules export and is ours, by its full name."""
    for module in (importlib.import_module("sklearn_meta" + name) for name in PUBLIC):
        for name in set(module.__all__) - {"__version__"}:
            thing = getattr(module, name)
            if getattr(thing, "__module__", "sklearn_meta").startswith("sklearn_meta"):
                yield f"{module.__name__}.{name}", thing


def missing_from_reference(site):
    """Public names without an entry, and estimators whose documentation link leads nowhere."""
    entries = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="").data
    documented = {
        name for kind, named in entries.items() if kind.startswith("py:") for name in named
    }
    public = dict(public_names())
    with_entry = {id(thing) for name, thing in public.items() if name in documented}
    for name, thing in public.items():
        if id(thing) not in with_entry:
            yield f"{name} is not in the reference"
        if (
            inspect.isclass(thing)
            and issubclass(thing, BaseEstimator)
            and not inspect.isabstract(thing)
        ):
            page = thing.__new__(thing)._get_doc_link().partition("/latest/")[2]
            if not (site / page).is_file():
                yield f"the documentation link of {name} leads to {page!r}, which is not there"


def broken_links(site):
    """Links and pictures of each page whose file or anchor is not there."""
    pages = {
        page: BeautifulSoup(page.read_bytes(), "html.parser")
        for page in sorted(site.rglob("*.html"))
        if "_static" not in page.parts
    }
    anchors = {
        page: {tag.get("id") or tag.get("name") for tag in soup.find_all(True)}
        for page, soup in pages.items()
    }
    for page, soup in pages.items():
        for tag in soup.find_all(["a", "img", "link", "script"]):
            link = tag.get("href") or tag.get("src")
            if not link or urlsplit(link).scheme or link.startswith("//"):
                continue
            path, anchor = unquote(urlsplit(link).path), unquote(urlsplit(link).fragment)
            target = (page.parent / path).resolve() if path else page
            if not target.is_file() or (anchor and anchor not in anchors.get(target, {anchor})):
                yield f"{page.relative_to(site)}: {link} leads nowhere"


if __name__ == "__main__":
    site = Path(sys.argv[1]).resolve()
    wrong = [*missing_from_reference(site), *broken_links(site)]
    print(*wrong, sep="\n")
    sys.exit(bool(wrong))
