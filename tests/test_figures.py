"""Figures and tables from a made-up run: they are made, equal byte for byte, and say what the run holds."""

import hashlib
import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic_results

from lamofc import plotting, png
from lamofc.dtypes import from_float32
from lamofc.interfaces import TensorSpec
from lamofc.jsonio import read_json, write_json
from lamofc.results import features, latency, numbers, operating, sections, table
from lamofc.store import write_all

SCRIPTS = Path(plotting.__file__).parents[1]
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
    titles = [a.get_title(loc="left") for a in figure.axes]
    assert sum(t.startswith("identity") for t in titles) == 2 and sum(t.startswith("uq-ec") for t in titles) == 2
    rows = table.read(run["scores"])
    shown = [sheet.chosen(rows[(rows.curve == c) & (rows.codec == n)])
             for c in table.curves(rows)[:2] for n in ("identity", "cast", "uq-ec")]  # fmt: skip
    assert [len({p["point"] for p in points}) for points in shown] == list(map(len, shown))
    assert max(map(len, shown)) > 1 and len(titles) == sum(map(len, shown))
    strip = figure.axes[0].images[0].get_array()
    file = read_json(run["pictures"][0])
    assert np.array_equal(strip[:8, :8], png.read(file["reference_pictures"][0])) and strip.shape == (18, 24, 3)


def arguments(function, paths):
    values = paths | {"devices": DEVICES, "anchor": "uq-ec", "families": FAMILIES, "coders": CODERS, "section": None}
    return {k: values[k] for k in function.__code__.co_varnames[: function.__code__.co_argcount]}


def make(name, paths):
    function = importlib.import_module(f"tables.{name}").make
    return function(**arguments(function, paths))


def drawn(name, paths, **more):
    function = importlib.import_module(f"figures.{name}").draw
    return function(**arguments(function, paths) | more)


@pytest.mark.parametrize("name", sorted(p.stem for p in (SCRIPTS / "figures").glob("*.py")))
def test_figures_are_equal_byte_for_byte(name, run, tmp_path):
    draw = importlib.import_module(f"figures.{name}").draw
    digests = set()
    for number in range(2):
        files = [tmp_path / f"{number}.{kind}" for kind in ("svg", "pdf", "png")]
        figure = draw(**arguments(draw, run))
        assert all(a.has_data() for a in figure.axes), "a panel is empty"
        plotting.save(figure, *files)
        digests.add(tuple(hashlib.sha256(f.read_bytes()).hexdigest() for f in files))
        assert b"2026" not in files[1].read_bytes()[-2000:]
    assert len(digests) == 1


@pytest.mark.parametrize("name", sorted(p.stem for p in (SCRIPTS / "tables").glob("*.py")))
def test_tables_have_rows_for_everything(name, run, tmp_path):
    tidy, printed, caption = make(name, run)
    files = [tmp_path / f"{name}.{kind}" for kind in ("tsv", "md", "tex")]
    numbers.write(tidy, printed, caption, *files)
    assert len(pd.read_csv(files[0], sep="\t")) == len(tidy) > 0
    assert len(printed) and files[1].read_text().count("\n| ") == len(printed) + 2
    assert "nan" not in files[1].read_text().lower().replace("dominant", "")


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


def test_latency_crossing_by_hand():
    one = pd.Series({"seconds": 0.3, "bytes": 1000.0})
    other = pd.Series({"seconds": 0.1, "bytes": 26000.0})
    bandwidth, where = latency.crossing(one, other)  # 200 kbit saved for .2 s
    assert where == "below" and bandwidth == pytest.approx(1e6)
    assert latency.total(one, np.array([bandwidth])) == pytest.approx(latency.total(other, np.array([bandwidth])))
    assert latency.crossing(other, one)[1] == "above"
    assert latency.crossing(one, one + 1)[1] == "always" and latency.crossing(one + 1, one)[1] == "never"


def test_intrinsic_dimension_of_a_plane():
    rng = np.random.default_rng(0)
    plane = rng.random((1000, 2)) @ rng.normal(size=(2, 30))
    assert features.intrinsic_dimension(plane.astype("f4")) == pytest.approx(2, rel=0.2)


def test_families_differ_in_marker_and_colour():
    looks = list(plotting.FAMILIES.values())
    assert len({m for m, _ in looks}) == len({c for _, c in looks}) == len(looks)
    assert plotting.look("a new family") == plotting.look("a new family")


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


def test_sections_and_their_pages(run):
    rows = table.read(run["scores"])
    groups = sections.of(rows, FAMILIES)
    assert list(groups) == ["vision", "state space", "audio"] and [len(g) for g in groups.values()] == [2, 1, 1]
    assert len(drawn("rate_score", run).axes) == 4 and len(drawn("rate_score", run, section="vision").axes) == 2


def test_a_codec_looks_the_same_everywhere(run):
    looks = plotting.looks(table.read(run["scores"]))
    assert len({(k.marker, k.filled, k.dash) for k in looks.values()}) == len(looks) == len(CODECS)
    assert looks["uq-ec"].marker == looks["uq-ec-zero-shot"].marker == plotting.look("numeric")[0]


def test_thirty_panels_fit_a_page():
    groups = {"vision": [f"v{i}" for i in range(12)], "language": [f"l{i}" for i in range(12)], "audio": list("abcdef")}
    figure, panels = plotting.sections(groups, 5, 0.95)
    boxes = [a.get_position().bounds for a in panels.values()]
    assert len(boxes) == 30 and figure.get_size_inches()[1] <= plotting.TALL + 0.01
    assert len({(round(x, 6), round(y, 6)) for x, y, *_ in boxes}) == 30 and min(h for *_, h in boxes) > 0


def test_bits_by_category_counts_what_is_not_reached(run):
    tidy, printed, _ = make("bits_by_category", run)
    at = pd.read_csv(run["rates"], sep="\t")
    vision = at[(at.target == 0.99) & (at.codec == "topk") & at.curve.str.contains("dinov2")]
    row = tidy[(tidy.codec == "topk") & (tidy.section == "vision")].iloc[0]
    assert row.curves == 2 and row.reached == np.isfinite(vision.bpfp).sum() and row.bits == vision.bpfp.median()
    line = printed.set_index("codec").loc["uq-ec"]
    assert line.exploits.startswith("Uniform quantiser") and line.exploits.endswith("(scales stream)")
    assert printed.set_index("codec").loc["kvtc", "vision"] == "–"


def test_long_tables_are_longtables():
    long = pd.DataFrame({"a": range(60), "b": "x" * 60})
    assert r"\begin{longtable}{lp{0.3\textwidth}}" in numbers.latex(long, "c") and r"\endhead" in numbers.latex(
        long, "c"
    )
    assert r"\begin{tabular}{ll}" in numbers.latex(long.head(3).assign(b="x"), "c")


def test_a_score_without_unit_gets_no_brackets(run, tmp_path):
    bare = tmp_path / "scores.tsv"
    pd.read_csv(run["scores"], sep="\t").assign(unit="", metric="CLIP score").to_csv(bare, sep="\t", index=False)
    row = table.read(bare).iloc[0]
    assert row.unit == "" and plotting.axis_label(row.metric, row.unit) == "CLIP score"
    assert plotting.axis_label("top-1", "%") == "top-1 (%)"


def test_every_figure_and_table_says_how_it_is_read():
    names = [p.stem for folder in ("figures", "tables") for p in (SCRIPTS / folder).glob("*.py")]
    lost = [n for n in names if not (SCRIPTS.parent / "report" / f"{n}.rst").is_file()]
    assert names and not lost, f"workflow/report has no caption of {lost}: the report could not be made"
