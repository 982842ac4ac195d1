"""Running prose out of HTML pages: paragraphs only, no lists, code, notes or headings."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

_SKIPPED_CLASSES = {"sidebar", "toc", "docnav", "navheader", "navfooter", "screen", "itemizedlist", "orderedlist",
                    "variablelist", "table", "figure", "note", "warning", "titlepage"}  # fmt: skip
_VOID = {"br", "hr", "img", "input", "link", "meta", "col", "wbr", "area", "base"}


class _Paragraphs(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[bool] = []  # for each open tag, whether its content is skipped
        self.inside = False
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _VOID:
            self.handle_data(" ")
            return
        classes = set((dict(attrs).get("class") or "").split())
        skipped = (
            bool(self.open and self.open[-1]) or tag in ("pre", "script", "style") or bool(classes & _SKIPPED_CLASSES)
        )
        self.open.append(skipped)
        if (tag == "p" or classes == {"para"}) and not skipped:
            self.inside = True
            self.found.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        if self.open:
            self.open.pop()
        self.inside = self.inside and tag not in ("p", "div")

    def handle_data(self, data: str) -> None:
        if self.inside and self.open and not self.open[-1]:
            self.found[-1] += data


def paragraphs(path: Path) -> list[str]:
    """Paragraphs of a page with single spaces and plain quotation marks."""
    parser = _Paragraphs()
    parser.feed(Path(path).read_text(encoding="utf-8"))
    plain = (" ".join(p.translate(_PLAIN).split()) for p in parser.found)
    return [p for p in plain if p]


_PLAIN = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2014": " - ", "\u2013": "-",
                        "\u2026": "...", "\u00a0": " ", "\u200b": ""})  # fmt: skip


_WORD = re.compile(r"[(\"']*[A-Za-z]+(['-][A-Za-z]+)*[.,;:!?)\"']*|-")


def is_plain(words: list[str]) -> bool:
    """Only words and ordinary punctuation: no code, paths, addresses, numbers or foreign letters."""
    return all(_WORD.fullmatch(word) for word in words)
