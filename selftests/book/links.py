# SPDX-License-Identifier: BSD-2-Clause
"""usage: links.py DIRECTORY: follows the links between the HTML files there; prints those that lead nowhere."""
import pathlib
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The links of a page, and the places in it that a link can name."""

    def __init__(self, text):
        super().__init__()
        self.links, self.places = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src"):
                self.links.add(value)
            elif name in ("id", "name"):
                self.places.add(value)


def main(book):
    pages = {path: Page(path.read_text()) for path in book.rglob("*.html")}
    followed, broken = 0, []
    for path, page in pages.items():
        if path.name in ("404.html", "toc.html"):
            continue
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            place = unquote(parts.fragment)
            there = target in pages and place in pages[target].places if place else target.exists()
            followed += 1
            if not there:
                broken.append(f"{path.relative_to(book)}: {link}")
    for line in sorted(broken):
        print("#", line)
    print(f"# {followed} links of {len(pages)} pages")
    return 1 if broken or followed < 50 else 0


sys.exit(main(pathlib.Path(sys.argv[1]).resolve()))
