"""Figures and tables from a made-up run: they are made, equal byte for byte, and say what the run holds."""

import hashlib
import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import printed
import pytest
import synthetic_results

from lamofc import png
from lamofc.dtypes import from_float32
from lamofc.interfaces import TensorSpec
from lamofc.jsonio import read_json, write_json
from lamofc.plotting import files as figure_files
from lamofc.plotting import layout, looks, scales
from lamofc.results import features, operating, sections, sheets, table
from lamofc.store import write_all

SCRIPTS = Path(layout.__file__).parents[2]
DEVICES = {"sender": 0.2, "receiver": 5}
FAMILIES = {"dinov2-s": "vit", "smollm2-135m": "state_space_lm", "whisper-tiny-en": "whisper"}
CODERS = {"uq-ec": {"file": "codecs/uq_ec.py", "parameters": {"scales": "stream"}}}
CODECS = ["identity", "cast", "lossless-zstd", "uq-ec", "hadamard", "dtufc-hyperprior-nearest", 
          "dtufc-hyperprior-floor", "topk", "kvtc", "input-jpegxl", "uq-ec-zero-shot", "fisher-klt"]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Paths by the names that figures and tables take."""
    folder = tmp_path_factory.mktemp("run")
    paths = synthetic_results.make(folder, curves=4, codecs=CODECS, n=40)
    paths |= synthetic_results.beside(folder, paths["scores"])
    paths["features"] = []
    rng = np.random.default_rng(0)
    for curve in table.curves(table.read(paths["scores"])):
        specs = [
            TensorSpec("out", "tokens", "bfloat16", (None, 8), 4),
            TensorSpec("k0", "key", "float32", (2, None, 4), 0),
        ]
        made = [(str(i), {"out": from_float32(rng.normal(size=(9, 8)).astype("f4"), "bfloat16"),
                          "k0": rng.normal(size=(2, 9, 4)).astype("f4")}) for i in range(4)]  # fmt: skip
        (folder / curve).mkdir()
        write_all(folder / curve / "test.zarr", specs, made)
        paths["features"].append(folder / curve)
    paths["pictures"] = pictures(folder, table.read(paths["scores"]))
    tidy, *_ = make("rate_at", paths)
    paths["rates"] = folder / "rate_at.tsv"
    tidy.to_csv(paths["rates"], sep="\t", index=False)
    return paths


def pictures(folder, rows):
    """Score files as of a task that makes images, of two curves."""
    rng, files = np.random.default_rng(1), []
    for curve in table.curves(rows)[:2]:
        for codec in ("identity", "uq-ec", "cast"):
            own = rows[(rows.curve == curve) & (rows.codec == codec)]
            made = {p: [png.write(rng.integers(0, 256, (8, 8, 3), np.uint8)) for _ in range(3)]
                    for p in [*own.point, "reference"]}  # fmt: skip
            files.append(folder / f"{curve}.{codec}.json")
            write_json(files[-1], {"rows": own[["curve", "codec", "point"]].to_dict("records"), "pictures": made,
                                   "reference_pictures": made.pop("reference")})  # fmt: skip
    return files


def test_the_contact_sheet_shows_each_point_once_and_nothing_of_other_curves(run):
    sheet = importlib.import_module("figures.contact_sheet")
    figure = sheet.draw(run["scores"], run["pictures"])
    names = [t.get_text() for t in figure.texts]
    assert names.count("uq-ec") == names.count("cast") == names.count("uncompressed run") == 2
    assert "identity" not in names, "what comes back bit for bit looks like the uncompressed run"
    rows = table.read(run["scores"])
    shown = [sheet.chosen(rows[(rows.curve == c) & (rows.codec == n)])
             for c in table.curves(rows)[:2] for n in ("cast", "uq-ec")]  # fmt: skip
    assert [len({p["point"] for p in points}) for points in shown] == list(map(len, shown))
    assert max(map(len, shown)) > 1 and len(figure.axes) == sum(map(len, shown)) + 2
    strip = figure.axes[0].images[0].get_array()
    file = read_json(run["pictures"][0])
    assert np.array_equal(strip[:, :8], png.read(file["reference_pictures"][0])) and strip.shape == (8, 24, 3)


def arguments(function, paths):
    values = paths | {"devices": DEVICES, "anchor": "uq-ec", "families": FAMILIES, "coders": CODERS, "section": None}
    return {k: values[k] for k in function.__code__.co_varnames[: function.__code__.co_argcount]}


def make(name, paths):
    function = importlib.import_module(f"tables.{name}").make
    return function(**arguments(function, paths))


def drawn(name, paths, **more):
    function = importlib.import_module(f"figures.{name}").draw
    return function(**arguments(function, paths) | more)


NAMES = sorted(p.stem for p in (SCRIPTS / "figures").glob("*.py"))
SECTIONED = [(n, s) for n in NAMES for s in ("vision",)
             if "section: str" in (SCRIPTS / f"figures/{n}.py").read_text()]  # fmt: skip


@pytest.mark.parametrize(("name", "section"), [(n, None) for n in NAMES] + SECTIONED)
def test_figures_are_readable_in_print_and_equal_byte_for_byte(name, section, run, tmp_path):
    """At the width they are printed at: a column for one section, else a page; no label small, clipped or hidden."""
    digests = set()
    for number in range(2):
        files = [tmp_path / f"{number}.{kind}" for kind in ("svg", "pdf", "png")]
        figure = drawn(name, run, **({"section": section} if section else {}))
        figure_files.save(figure, *files)
        digests.add(tuple(hashlib.sha256(f.read_bytes()).hexdigest() for f in files))
        assert b"CreationDate" not in files[1].read_bytes() and b"dc:date" not in files[0].read_bytes()
    assert all(a.has_data() for a in figure.axes), "a panel is empty"
    assert not printed.faults(figure, layout.SMALL)
    assert figure.get_figwidth() == (layout.COLUMN if section or name == "cost" else layout.PAGE)
    assert len(digests) == 1


@pytest.mark.parametrize("name", sorted(p.stem for p in (SCRIPTS / "tables").glob("*.py")))
def test_tables_have_rows_for_everything(name, run, tmp_path):
    tidy, printed, caption = make(name, run)
    files = [tmp_path / f"{name}.{kind}" for kind in ("tsv", "md", "tex", "html")]
    sheets.write(tidy, printed, caption, *files)
    assert len(pd.read_csv(files[0], sep="\t")) == len(tidy) > 0
    assert len(printed) and files[1].read_text().count("\n| ") == len(printed) + 2
    assert files[3].read_text().count("<tr>") == len(printed) + 1
    check_latex(files[2].read_text(), len(printed.columns))
    assert "nan" not in files[1].read_text().lower().replace("dominant", "")


def check_latex(text, columns):
    """What LaTeX would stumble over: letters beyond ASCII, open braces, rows of other lengths, a row's first letter."""
    assert text.isascii(), [c for c in text if not c.isascii()]
    bare = re.sub(r"\\[\\{}&%$#_]", "", text)
    assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0
    assert not re.search(r"[%#_~^<>|\"]", bare.replace(">{\\raggedright", "")), "special characters are escaped"
    lines = re.sub(r"\\shortstack\[l\]\{.*?\}(?= &| \\\\)", "", text).splitlines()
    rows = [line for line in lines if re.search(r"(?<!\\)&", line)]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {columns - 1}
    assert not any(row.lstrip().startswith(("[", "*")) for row in rows)


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
def test_latex_compiles_and_is_no_wider_than_a_page(tmp_path):
    hard = ['[a] 5% & x_1 $ ~ ^ # {b} \\ – ≤ ≥ − · ± ∞ × < > | "q"', "* b.c.d", "spoken.audio-lm-small.layer4 " * 4]
    for rows in (3, 60):
        texts = pd.DataFrame({"a_b": (hard * 20)[:rows], "points per sample": "−85 [−88, −82]", "c": "≤ 8.0 [7, 9]"})
        wide = texts.assign(**{f"column {i}": "−97.7 [−98.5, −96.0]" for i in range(3)}, better=hard[2])
        (tmp_path / f"{rows}.tex").write_text(sheets.latex(wide, hard[0]))
        check_latex((tmp_path / f"{rows}.tex").read_text(), 7)
    (tmp_path / "all.tex").write_text(
        r"\documentclass[10pt]{article}\usepackage[textwidth=7.1in,textheight=9in]{geometry}"
        r"\usepackage{array,booktabs,longtable}\begin{document}\input{3.tex}\input{60.tex}\end{document}"
    )
    told = subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"], cwd=tmp_path,
                          capture_output=True, text=True, timeout=120)  # fmt: skip
    assert told.returncode == 0, told.stdout[-1500:]
    assert "Overfull" not in told.stdout and "Missing character" not in (tmp_path / "all.log").read_text()


def test_bd_recovers_the_offset_between_made_up_codecs(run):
    tidy, *_ = make("bd_rate", run)
    row = tidy[(tidy.codec == "hadamard") & (tidy.measure == "damage")].iloc[0]
    assert row.low - 5 < 30 < row.high + 5 and not row.refused  # hadamard was made to need 1.3 times the bits
    refused = tidy[tidy.codec == "identity"]
    assert refused.value.isna().all() and refused.refused.str.contains("points").all()


def test_own_codec_is_compared_with_all_others_and_averaged(run):
    tidy, printed, _ = make("ours", run)
    single = tidy[(tidy.level == "curve") & (tidy.against == "one") & (tidy.measure == "damage")]
    topk = single[single.codec == "topk"]  # made to need 4 times the bits
    assert len(topk) and (topk.value.between(-85, -60) & (topk.better == "ours")).all()
    assert not set(single.codec) & {"input-jpegxl", "uq-ec-zero-shot", "fisher-klt"}
    best = tidy[(tidy.against == "best other") & (tidy.measure == "damage")]
    hardest = best[best.level == "curve"].set_index("name")
    assert single.groupby("name", sort=False).value.max().to_dict() == hardest.value.to_dict()
    whole = best[best.level == "all"].iloc[0]
    by_scenario = [g.mean() for _, g in np.log1p(hardest.value / 100).groupby(hardest.scenario)]
    assert whole.value == pytest.approx(100 * np.expm1(np.mean(by_scenario))) and whole.low < whole.value < whole.high
    named = printed.set_index("curve").better
    for curve, own in tidy[(tidy.level == "curve") & (tidy.against == "one")].groupby("name"):
        assert [c in named[curve] for c in own.codec[own.better == "theirs"]].count(False) == 0
        assert (named[curve] == "none") == (not (own.better == "theirs").any())


def test_a_codec_that_beats_ours_is_named(run, tmp_path):
    rows = pd.read_csv(run["scores"], sep="\t", dtype={"point": str})
    rows.loc[rows.codec == "fisher-klt", "bpfp"] *= 10
    rows.to_csv(tmp_path / "scores.tsv", sep="\t", index=False)
    _, printed, _ = make("ours", run | {"scores": tmp_path / "scores.tsv"})
    assert printed.better[0].startswith("uq-ec") or "hadamard" in printed.better[0]


def test_not_reached_is_shown_as_such(run):
    tidy, printed, _ = make("rate_at", run)
    missing = tidy[tidy.status == "not reached"]
    assert len(missing) and np.isinf(missing.bpfp).all()
    assert (printed.set_index(["curve", "codec"]).loc[missing.set_index(["curve", "codec"]).index] == "–").any().any()
    assert (tidy[tidy.tied == "best"].groupby(["curve", "target"]).size() == 1).all()


def test_operating_points_are_measured_rows_that_keep_the_score(run):
    rows = table.read(run["scores"])
    chosen = operating.points(rows)
    assert (chosen.quality >= 0.99 * chosen.reference_quality).all()
    assert not chosen.duplicated(["curve", "codec"]).any()


def test_intrinsic_dimension_of_a_plane():
    rng = np.random.default_rng(0)
    plane = rng.random((1000, 2)) @ rng.normal(size=(2, 30))
    assert features.intrinsic_dimension(plane.astype("f4")) == pytest.approx(2, rel=0.2)


def test_families_differ_in_marker_and_colour():
    known = list(looks.FAMILIES.values())
    assert len({m for m, _ in known}) == len({c for _, c in known}) == len(known)
    assert looks.look("a new family") == looks.look("a new family")


def test_colours_are_told_apart_with_any_colour_vision():
    """Fifteen units of CIELAB: some seven times what is just noticed."""
    parts = importlib.import_module("figures.where_bits_go").PARTS
    ways = [importlib.import_module(f"figures.{n}") for n in ("split_overview", "should_i_split")]
    measures = importlib.import_module("figures.distortion_score").PREDICTORS
    networks = importlib.import_module("figures.anchors").SHADES
    for colours in ([c for _, c in looks.FAMILIES.values()], parts.values(), ways[0].COLOURS.values(), networks,
                    [c for _, c in measures.values()]):  # fmt: skip
        assert printed.closest(colours)[0] > 15, printed.closest(colours)
    assert ways[0].COLOURS == ways[1].FASTEST, "the same ways, the same colours"
    assert printed.closest(["#d55e00", "#8c6d00"])[3] == "protan"


def test_ladders_that_do_not_fall_or_break_are_named():
    from tables.ladders import describe

    good = pd.DataFrame({"bytes": [9, 5, 2], "rel_mse": [0.0, 0.1, 1.0], "flips": [0, 3, 40]})
    good = good.assign(score=[80.0, 78, 20], reference_score=80.0, n=60)

    def loses(row):
        return row.score < 70

    assert describe(good, loses) == {"points": 3, "rate_falls": True, "flips_first": 0, "start": "no visible loss",
                              "flips_last": 40, "end": "broken"}  # fmt: skip
    turned = describe(good.iloc[::-1], loses)
    assert (turned["rate_falls"], turned["start"], turned["end"]) == (False, "VISIBLE LOSS", "NOT BROKEN")
    weak = [describe(good.assign(n=n), lambda row: False)["end"] for n in (120, 121)]  # a third of the answers
    assert weak == ["answers broken", "NOT BROKEN"]
    alone = describe(good.iloc[:1], loses)
    assert alone["start"] == "lossless" and alone["end"] == "-"


def test_figures_are_equal_in_another_process(run, tmp_path):
    """With another seed of Python's hashes: no order of sets gets into the files."""
    digests = []
    for seed in ("0", "1"):
        files = [tmp_path / f"{seed}.{kind}" for kind in ("svg", "pdf", "png")]
        code = f"""import importlib
from pathlib import Path
from lamofc.stages import draw
draw.draw("heatmap", {{"scores": Path({str(run["scores"])!r}), "rates": Path({str(run["rates"])!r})}},
          {{"families": {FAMILIES!r}}}, *map(Path, {[str(f) for f in files]!r}))"""
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(SCRIPTS)}
        subprocess.run([sys.executable, "-c", code], check=True, env=environment)
        digests.append([hashlib.sha256(f.read_bytes()).hexdigest() for f in files])
    assert digests[0] == digests[1]


def test_legends_are_outside_and_every_axis_has_a_unit(run):
    """Panels that stand in a grid may leave the label of the x axis to the lowest of their column."""
    for name in ("rate_score", "should_i_split", "generalisation", "anchors"):
        figure = drawn(name, run)
        assert not any(a.get_legend() for a in figure.axes) and len(figure.legends) == 1
        assert all(a.get_ylabel() for a in figure.axes) and any(a.get_xlabel() for a in figure.axes)
        figure.draw_without_rendering()
        box = figure.legends[0].get_window_extent()
        assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and not any(a.bbox.overlaps(box) for a in figure.axes)


def test_the_papers_own_figure_draws_both_networks_and_both_assignments(tmp_path):
    """Where the full tier ran; shades tell the networks apart, filling the assignment; transfer is another figure's."""
    pair = [f"dtufc-{n}-{a}" for n in ("hyperprior", "elic") for a in ("nearest", "floor")]
    paths = synthetic_results.make(tmp_path, 3, ["identity", *pair, "dtufc-elic-nearest-zero-shot", "uq-ec"], n=20)
    rows = pd.read_csv(paths["scores"], sep="\t")
    rows[~(rows.curve.str.startswith("capitals") & rows.codec.str.startswith("dtufc"))].to_csv(
        paths["scores"], sep="\t", index=False
    )
    figure = drawn("anchors", paths)
    entries = [t.get_text() for t in figure.legends[0].get_texts()]
    assert entries[:4] == pair and len(figure.axes) == 2, "a curve without anchors has no panel"
    lines = [li for li in figure.axes[0].lines if li.get_marker() == looks.look("learned")[0]]
    assert len({(li.get_color(), li.get_markerfacecolor()) for li in lines}) == 4 and len(lines) == 4
    assert {li.get_linestyle() for li in lines if li.get_markerfacecolor() == "#ffffff"} == {"--"}
    shown = rows[(rows.curve == table.curves(rows)[0]) & rows.codec.isin(pair)]
    assert sorted(x for li in lines for x in li.get_xdata()) == pytest.approx(sorted(shown.bpfp))
    assert not printed.faults(figure, layout.SMALL)


@pytest.mark.parametrize("name", ["where_bits_go", "split_overview", "heatmap"])
def test_small_runs_are_readable_too(name, tmp_path):
    paths = synthetic_results.make(tmp_path, 2, ["identity", "cast", "uq-ec", "dtufc-hyperprior-nearest"], n=20)
    paths |= synthetic_results.beside(tmp_path, paths["scores"])
    paths["rates"] = tmp_path / "rate_at.tsv"
    make("rate_at", paths)[0].to_csv(paths["rates"], sep="\t", index=False)
    assert not printed.faults(drawn(name, paths), layout.SMALL)


def test_sections_and_their_pages(run):
    rows = table.read(run["scores"])
    groups = sections.of(rows, FAMILIES)
    assert list(groups) == ["vision", "state space", "audio"] and [len(g) for g in groups.values()] == [2, 1, 1]
    assert len(drawn("rate_score", run).axes) == 4 and len(drawn("rate_score", run, section="vision").axes) == 2


def test_a_codec_looks_the_same_everywhere(run):
    known = looks.of(table.read(run["scores"]))
    assert len({(k.marker, k.filled, k.dash) for k in known.values()}) == len(known) == len(CODECS)
    assert known["uq-ec"].marker == known["uq-ec-zero-shot"].marker == looks.look("numeric")[0]


def test_thirty_panels_fit_a_page():
    groups = {"vision": [f"v{i}" for i in range(12)], "language": [f"l{i}" for i in range(12)], "audio": list("abcdef")}
    figure, panels = layout.sections(groups, 5, 0.95)
    boxes = [a.get_position().bounds for a in panels.values()]
    assert len(boxes) == 30 and figure.get_size_inches()[1] <= layout.TALL + 0.01
    assert len({(round(x, 6), round(y, 6)) for x, y, *_ in boxes}) == 30 and min(h for *_, h in boxes) > 0


def test_bits_by_category_counts_what_is_not_reached(run):
    tidy, printed, _ = make("bits_by_category", run)
    at = pd.read_csv(run["rates"], sep="\t")
    vision = at[(at.target == 0.99) & (at.codec == "topk") & at.curve.str.contains("dinov2")]
    row = tidy[(tidy.codec == "topk") & (tidy.section == "vision")].iloc[0]
    assert row.curves == 2 and row.reached == np.isfinite(vision.bpfp).sum() and row.bits == vision.bpfp.median()
    loose = at[(at.target == 0.95) & (at.codec == "topk") & at.curve.str.contains("dinov2")]
    assert row.bits_loose == loose.bpfp.median() <= row.bits
    line = printed.set_index("codec").loc["uq-ec"]
    assert line.exploits.startswith("Uniform quantiser") and line.exploits.endswith("(scales stream)")
    assert re.fullmatch(r"[\d.]+ / [\d.]+ \(2 of 2\)", line.vision)
    assert printed.set_index("codec").loc["kvtc", "vision"] == "–"


def test_long_tables_are_longtables():
    long = pd.DataFrame({"a": map(str, range(60)), "b": "x" * 60})
    assert r"\begin{longtable}{rl}" in sheets.latex(long, "c") and r"\endhead" in sheets.latex(long, "c")
    assert r"\begin{tabular}{rl}" in sheets.latex(long.head(3), "c")
    broken = sheets.latex(long.assign(b="x " * 100), "c")
    assert r"\begin{longtable}{r>{\raggedright\arraybackslash}p{" in broken


def test_a_score_without_unit_gets_no_brackets(run, tmp_path):
    bare = tmp_path / "scores.tsv"
    pd.read_csv(run["scores"], sep="\t").assign(unit="", metric="CLIP score").to_csv(bare, sep="\t", index=False)
    row = table.read(bare).iloc[0]
    assert row.unit == "" and scales.axis_label(row.metric, row.unit) == "CLIP score"
    assert scales.axis_label("top-1", "%") == "top-1 (%)"


def test_every_figure_and_table_says_how_it_is_read():
    names = [p.stem for folder in ("figures", "tables") for p in (SCRIPTS / folder).glob("*.py")]
    lost = [n for n in names if not (SCRIPTS.parent / "report" / f"{n}.rst").is_file()]
    assert names and not lost, f"workflow/report has no caption of {lost}: the report could not be made"


def test_numbers_come_from_collected_tables_and_feature_stores_alone():
    """Arguments of draw and make are files of the run or rows of the configuration, and nothing else is opened."""
    files = {"scores", "samples", "rates", "bits", "inputs", "features", "pictures"}
    told = {"families", "devices", "anchor", "coders", "section"}
    reads = re.compile(r"(?:read_csv|read_parquet|read_json|open)\(\s*([\w.]+)")
    for folder, name in (("figures", "draw"), ("tables", "make")):
        for path in sorted((SCRIPTS / folder).glob("*.py")):
            code = getattr(importlib.import_module(f"{folder}.{path.stem}"), name).__code__
            assert set(code.co_varnames[: code.co_argcount]) <= files | told, path
            assert set(reads.findall(path.read_text())) <= files, path
