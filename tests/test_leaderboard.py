"""The leaderboard page in a real browser: no network, no errors, and its controls do what they say."""

import json
import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import synthetic_results
from browser import BROWSER, FLAGS

from lamofc.results import leaderboard, targets

SCRIPTS = Path(leaderboard.__file__).parents[2]
CONFIG = """# codecs
identity: {codec: identity, ladder: [raw]}
uq-ec:
  codec: uq-ec
  ladder: [0.1]
hevc: {codec: hevc}
"""

# Runs in the page, after it is drawn; what it returns is written where the test can read it.
PROBE = """
const errors = [];
addEventListener("error", e => errors.push(e.message));
addEventListener("securitypolicyviolation", e => errors.push("blocked: " + e.blockedURI));
addEventListener("load", () => {
  const change = (id, value) => {
    $(id).value = value;
    $(id).dispatchEvent(new Event(id === "search" ? "input" : "change"));
  };
  const rows = () => [...$("body").rows].map(r => [...r.cells].map(c => c.textContent));
  const head = name => document.querySelector(`th[data-name=${name}]`);
  const found = { start: rows(), sorted: head("bpfp").getAttribute("aria-sort") };
  const target = row => row.querySelector("a") ? row.querySelector("a").getAttribute("href") : "";
  found.links = [...$("body").rows].map(r => [r.cells[0].textContent, target(r)]);
  found.legend = [...$("legend").children].map(i => i.textContent);
  found.wide = document.documentElement.scrollWidth > innerWidth;
  head("codec").querySelector("button").click();
  found.byCodec = rows().map(r => r[0]);
  head("codec").querySelector("button").click();
  found.byCodecDown = rows().map(r => r[0]);
  found.ariaDown = head("codec").getAttribute("aria-sort");
  change("family", "image");
  found.image = rows();
  change("family", "");
  change("category", "CLU");
  found.category = rows();
  found.curvesOffered = [...$("curve").options].map(o => o.value);
  change("category", "");
  change("kind", "key");
  found.kind = rows().length;
  change("kind", "");
  change("target", "0.95");
  found.at95 = rows();
  change("search", "no such codec");
  found.none = [rows().length, $("chart").textContent];
  change("search", "");
  const ticks = () => [...document.querySelectorAll("#chart text")].map(t => t.textContent).join(" ");
  found.log = ticks();
  change("scale", "linear");
  found.linear = ticks();
  const marks = [...document.querySelectorAll("#chart .point")];
  found.points = marks.length;
  found.tabbable = marks.filter(m => m.getAttribute("tabindex") === "0").length;
  marks[0].dispatchEvent(new MouseEvent("mouseenter"));
  found.hover = $("detail").textContent;
  marks[0].focus();
  marks[0].dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
  found.moved = document.activeElement === marks[1];
  found.arrow = $("detail").textContent;
  $("body").rows[0].querySelector("button").click();
  found.shown = [$("curve").value, $("detail").textContent, rows()[0][2]];
  found.link = document.querySelector("#detail a") && document.querySelector("#detail a").getAttribute("href");
  const named = e => e.labels && e.labels.length || e.getAttribute("aria-label") || e.textContent.trim();
  found.unnamed = [...document.querySelectorAll("select, input, button, a, [tabindex]")].filter(e => !named(e)).length;
  found.unlabelledPoints = marks.filter(m => !m.getAttribute("aria-label")).length;
  found.lang = document.documentElement.lang;
  found.errors = errors;
  const result = Object.assign(document.createElement("pre"), { id: "probe", textContent: JSON.stringify(found) });
  document.body.replaceChildren(result);
});
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("board")
    paths = synthetic_results.make(folder, curves=4, codecs=["identity", "uq-ec", "hevc", "topk", "input-jpegxl"], n=30)
    bits = synthetic_results.beside(folder, paths["scores"])["bits"]
    targets.rate_at(paths["scores"], paths["samples"], 200).to_csv(folder / "rate_at.tsv", sep="\t", index=False)
    (folder / "codecs.yaml").write_text(CONFIG)
    (folder / "inputs.yaml").write_text("# inputs\n\ninput-jpegxl: {input: jpegxl, ladder: [0]}\n")
    out = folder / "leaderboard.html"
    leaderboard.page(
        SCRIPTS / "leaderboard.html",
        paths["scores"],
        folder / "rate_at.tsv",
        bits,
        folder / "codecs.yaml",
        folder / "inputs.yaml",
        out,
    )
    return out


@pytest.fixture(scope="module")
def seen(page):
    """What the probe saw in the browser, and the browser's console."""
    if BROWSER is None:
        pytest.skip("no Chromium on this machine: install the package chromium to test the leaderboard in it")
    probed = page.with_name("probed.html")
    probed.write_text(
        page.read_text().replace(
            '<script type="application/json"', f'<script>{PROBE}</script>\n<script type="application/json"', 1
        )
    )
    profile = page.with_name("profile")
    command = [
        BROWSER,
        *FLAGS,
        f"--user-data-dir={profile}",
        "--virtual-time-budget=5000",
        "--dump-dom",
        probed.as_uri(),
    ]
    run = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    text = re.search(r'<pre id="probe">(.*?)</pre>', run.stdout, re.DOTALL)
    assert text, f"the page did not run to its end: {run.stderr[-2000:]}"
    found = json.loads(text[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    return found | {"console": [line for line in run.stderr.splitlines() if "CONSOLE" in line]}


def test_page_stands_alone(page):
    text = page.read_text()
    assert not re.findall(r"(?:src|href)=[\"'](?:https?:)?//", text) and "@import" not in text and "fetch(" not in text
    assert "default-src 'none'" in text and leaderboard.PLACE not in text


def test_config_lines(page):
    lines = leaderboard.config_lines(page.with_name("codecs.yaml"), ["identity", "uq-ec", "absent"])
    assert lines["identity"] == (2, "identity: {codec: identity, ladder: [raw]}")
    assert lines["uq-ec"] == (3, "uq-ec:\n  codec: uq-ec\n  ladder: [0.1]") and "absent" not in lines


def test_no_errors_in_the_console(seen):
    assert seen["errors"] == [] and seen["console"] == []


def test_sorting(seen, page):
    assert seen["sorted"] == "ascending" and seen["ariaDown"] == "descending"
    assert seen["byCodec"] == sorted(seen["byCodec"]) and seen["byCodecDown"] == sorted(seen["byCodec"], reverse=True)
    table = pd.read_csv(page.with_name("rate_at.tsv"), sep="\t")
    best = table[table.target == 0.99].sort_values("bpfp").iloc[0]
    assert seen["start"][0][0] == best.codec and len(seen["start"]) == 20


def test_filters(seen):
    assert {r[1] for r in seen["image"]} == {"image"} and len(seen["image"]) == 4
    assert len({r[2] for r in seen["category"]}) == 1 and seen["curvesOffered"] == [seen["category"][0][2]]
    assert seen["kind"] == 20 and seen["none"][0] == 0 and "No codec" in seen["none"][1]
    assert seen["at95"] != seen["start"]


def test_linear_and_log(seen):
    assert "(log)" in seen["log"] and "(linear)" in seen["linear"]


def test_pointing_and_keys_show_the_row(seen):
    assert seen["points"] == 29 and seen["tabbable"] == 1 and seen["moved"]
    assert "Bits per point" in seen["hover"] and "Flipped outcomes" in seen["arrow"]
    assert seen["shown"][0] == seen["shown"][2] and seen["shown"][2] in seen["shown"][1]


def test_every_row_links_to_the_line_that_made_it(seen):
    links = dict(seen["links"])
    assert links["uq-ec"] == "codecs.yaml#L3" and links["input-jpegxl"] == "inputs.yaml#L3"
    assert links["topk"] == ""  # of another configuration


def test_legend_names_what_is_drawn(seen):
    drawn = sorted(r[0] for r in seen["start"] if r[2] == seen["start"][0][2])
    assert sorted(seen["legend"][:-2]) == drawn and seen["legend"][-2:] == ["uncompressed", "chance"]
    assert not seen["wide"]


def test_labels_and_alternatives(seen):
    assert seen["unnamed"] == 0 and seen["unlabelledPoints"] == 0 and seen["lang"] == "en"


def test_text_has_contrast(page):
    """WCAG AA: 4.5 to 1 for every text colour on its background."""
    colours = dict(re.findall(r"--(\w+): (#\w+)", page.read_text()))
    for name in ("ink", "soft", "accent"):
        for ground in ("paper", "mark"):
            light, dark = sorted((_luminance(colours[name]), _luminance(colours[ground])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (name, ground)


def _luminance(colour):
    digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
