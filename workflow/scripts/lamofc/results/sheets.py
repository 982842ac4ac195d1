"""Tables as files: TSV with six digits, and for readers Markdown, LaTeX as wide as a page, and HTML for the report."""

from __future__ import annotations

import html as markup
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lamofc.jsonio import write_text

PAGE_ROWS = 45
LONG = 50  # characters above which a cell of HTML may be broken into lines
WIDTH = 505.0  # points that a table of LaTeX may take: two columns of a paper, 7.1 inches, less rules and rounding
# Size, points that a character takes in the mean, points between columns: the first at which a table fits.
SIZES = ((r"\footnotesize", 4.15, 6.0), (r"\footnotesize", 4.15, 3.0), (r"\scriptsize", 3.75, 3.0))
NARROWEST = 14  # characters to which a column of text may be broken
_LATEX = {"\\": r"\textbackslash{}", "_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
          "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "≤": r"$\le$", "≥": r"$\ge$", "−": "$-$",
          "·": r"$\cdot$", "±": r"$\pm$", "∞": r"$\infty$", "×": r"$\times$", "<": r"\textless{}",
          ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''"}  # fmt: skip
_NUMBER = re.compile(r"(≤ )?[−+]?[\d∞]|–")  # how a cell begins that is a number
STYLE = ("body{font:15px/1.45 system-ui,sans-serif;margin:1.2rem;color:#111;background:#fff}p{max-width:60rem}"
         "table{border-collapse:collapse}th,td{padding:.2rem .6rem;border-bottom:1px solid #ccc;text-align:left;"
         "vertical-align:top;white-space:nowrap}td.w{white-space:normal;min-width:16rem}.n{text-align:right;"
         "font-variant-numeric:tabular-nums}th{position:sticky;top:0;background:#fff}")  # fmt: skip


def write(tidy: pd.DataFrame, printed: pd.DataFrame, caption: str, tsv: Path, md: Path, tex: Path, html: Path) -> None:
    """`tidy` as TSV; `printed`, strings for readers, in the other formats."""
    write_text(tsv, tidy.to_csv(sep="\t", index=False, float_format="%.6g", na_rep=""))
    for path, text in ((md, markdown), (tex, latex), (html, page)):
        write_text(path, text(printed.astype(str), caption))


def markdown(table: pd.DataFrame, caption: str) -> str:
    lines = [list(map(str, table.columns)), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    return f"{caption}\n\n" + "".join(f"| {' | '.join(c.replace('|', '/') for c in line)} |\n" for line in lines)


def page(table: pd.DataFrame, caption: str) -> str:
    """HTML that needs nothing else."""
    kinds = [f' class="{"n" if _numeric(table[c]) else "w"}"' if _numeric(table[c]) or _long(table[c]) else ""
             for c in table]  # fmt: skip

    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}{k}>{markup.escape(c)}</{tag.split()[0]}>" for c, k in zip(cells, kinds, strict=True))

    head = line(list(map(str, table.columns)), 'th scope="col"')
    body = "\n".join(line(cells, "td") for cells in table.to_numpy().tolist())
    return (f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Table</title><style>{STYLE}</style>\n'
            f"<p>{markup.escape(caption)}</p>\n<table>\n<thead>{head}</thead>\n<tbody>\n{body}\n</tbody>\n</table></html>\n")  # fmt: skip


def latex(table: pd.DataFrame, caption: str) -> str:
    """For packages array, booktabs, longtable: more than a page holds is a longtable, which repeats its head on each."""
    size, gap, columns = _columns(table)
    head = " & ".join(_stacked(str(c), _letters(table[c])) for c in table) + r" \\"
    body = [" & ".join(map(_cell, line)) + r" \\" for line in table.to_numpy()]
    start = rf"{{{size}\setlength{{\tabcolsep}}{{{gap:g}pt}}"
    inner = [r"\toprule", head, r"\midrule"]
    caption = rf"\caption{{{_escaped(caption)}}}"
    if len(body) > PAGE_ROWS:
        lines = [start, rf"\begin{{longtable}}{{{columns}}}", caption + r" \\[4pt]", *inner, r"\endhead", *body,
                 r"\bottomrule", r"\end{longtable}}", ""]  # fmt: skip
    else:
        lines = [r"\begin{table*}", start, r"\centering", caption, r"\vspace{4pt}", rf"\begin{{tabular}}{{{columns}}}",
                 *inner, *body, r"\bottomrule", r"\end{tabular}}", r"\end{table*}", ""]  # fmt: skip
    return "\n".join(lines)


def _columns(table: pd.DataFrame) -> tuple[str, float, str]:
    """(size, points between columns, their kinds): the largest type that fits a page, at last with broken lines of text."""
    letters = {c: _letters(table[c]) for c in table}
    for size, letter, gap in SIZES:
        room = (WIDTH - 2 * gap * len(letters)) / letter
        if sum(letters.values()) <= room:
            break
    broken = {}
    while sum(letters.values()) > room:
        widest = max((c for c in table if not _numeric(table[c])), key=letters.get, default=None)
        if widest is None or letters[widest] <= NARROWEST:
            break
        letters[widest] = broken[widest] = max(NARROWEST, min(letters[widest] - 1, int(0.95 * letters[widest])))
    kinds = [rf">{{\raggedright\arraybackslash}}p{{{letter * broken[c]:.0f}pt}}" if c in broken
             else "r" if _numeric(table[c]) else "l" for c in table]  # fmt: skip
    return size, gap, "".join(kinds)


def _cell(text: str) -> str:
    """A cell that begins with [ or * would be taken for an argument of the line end before it; names may break at dots."""
    return re.sub(r"^([\[*])", r"{\1}", re.sub(r"(?<=[a-z0-9])\.(?=[a-z])", r".\\allowbreak{}", _escaped(text)))


def _letters(column: pd.Series) -> int:
    """Letters of the widest cell or of the longest word of the head; a minus is wider than a digit."""
    return max([*(len(c) + c.count("−") // 2 for c in column), *map(len, str(column.name).split())])


def _stacked(head: str, letters: int) -> str:
    """A head in lines of about `letters`."""
    lines = [""]
    for word in head.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > letters:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    text = r"\\".join(map(_escaped, lines))
    return rf"\shortstack[l]{{{text}}}" if len(lines) > 1 else text


def _long(column: pd.Series) -> bool:
    return column.str.len().max() > LONG


def _numeric(column: pd.Series) -> bool:
    """Numbers, with an interval or a star; what is long has words in it that may be broken."""
    return bool(len(column)) and column.str.len().max() <= 30 and all(_NUMBER.match(c) for c in column)


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(c, c) for c in text)
