# What the report consists of: figures, tables, and what each of them reads.
from lamofc.results import sections

ANCHOR = {"anchor": config["anchor"]}
COLLECTED = {
    "scores": f"{RESULTS}/scores.tsv",
    "samples": f"{RESULTS}/outcomes.parquet",
    "rates": f"{RESULTS}/tables/rate_at.tsv",
    "bits": f"{RESULTS}/bits.tsv",
    "inputs": f"{RESULTS}/inputs.tsv",
    "features": [f"{RESULTS}/features/{c}" for c in plan.curves],
}
COLLECTED["pictures"] = [f"{RESULTS}/scores/{c}/{a}.json" for c, a in plan.picture_pairs]
DEVICES = {"devices": config["devices"]}
# By family of their models language curves are told from state-space ones: sections of figures and tables.
FAMILIES = {"families": {n: m["family"] for n, m in plan.models.items()}}
SECTION = {c: sections.name(r["category"], FAMILIES["families"][r["model"]]) for c, r in plan.curves.items()}
SECTIONS = sorted(set(SECTION.values()))
PAIRED = sorted({SECTION[c] for c, a in plan.pairs if a.startswith("dtufc-") and not a.endswith("-zero-shot")})
CODERS = {
    "coders": {
        n: {
            "file": f"{kind}s/{e[kind].replace('-', '_')}.py",
            "parameters": e.get("parameters", {}) | ({"assets": "of another data set"} if "transfer" in e else {}),
        }
        for kind, entries in {"codec": plan.all_arms, "input": plan.all_inputs}.items()
        for n, e in entries.items()
    }
}
SECTIONED = ["rate_score", "anchors", "heatmap", "split_overview", "should_i_split"]
# name: (what it reads, what the configuration tells it); <figure>-<page> is one more page of a figure
FIGURES = {
    "rate_score": (["scores"], FAMILIES),
    "heatmap": (["scores", "rates"], FAMILIES),
    "split_overview": (["scores", "inputs"], DEVICES | FAMILIES),
    "should_i_split": (["scores", "inputs"], DEVICES | FAMILIES),
    "cost": (["scores"], {}),
    "where_bits_go": (["scores", "bits"], {}),
    "distortion_score": (["scores"], FAMILIES),
    "feature_statistics": (["scores", "features"], {}),
}
TABLES = {
    "rate_at": (["scores", "samples"], {}),
    "codecs": (["scores", "rates"], ANCHOR),
    "bits_by_category": (["scores", "rates"], FAMILIES | CODERS),
    "models": (["scores", "samples"], {}),
    "differences": (["scores", "samples"], {}),
    "break_even": (["scores", "inputs"], DEVICES),
    "ladders": (["scores", "samples"], {}),
}
if PAIRED:
    FIGURES["anchors"] = (["scores"], FAMILIES)
# A page wide these show all curves; the same for one section is as wide as a column of print.
if len(SECTIONS) > 1:
    for page, (read, options) in [(n, FIGURES[n]) for n in SECTIONED if n in FIGURES]:
        own = PAIRED if page == "anchors" else SECTIONS
        FIGURES |= {f"{page}-{sections.slug(s)}": (read, options | {"section": s}) for s in own}
if plan.picture_pairs:
    FIGURES["contact_sheet"] = (["scores", "pictures"], {})
if any("transfer" in plan.arms[a] for _, a in plan.pairs if a in plan.arms):
    FIGURES["generalisation"] = (["scores"], FAMILIES)
if config["anchor"] in plan.arms:
    TABLES |= {"bd_rate": (["scores", "samples"], ANCHOR), "bd_score": (["scores", "samples"], ANCHOR)}


if any(codecs.load(a["codec"]).family == "ours" for a in plan.arms.values()):
    TABLES["ours"] = (["scores", "samples"], {})


def report_files():
    return [
        f"{RESULTS}/scores.tsv",
        *expand(f"{RESULTS}/figures/{{figure}}.{{kind}}", figure=FIGURES, kind=["svg", "pdf", "png"]),
        *expand(f"{RESULTS}/tables/{{table}}.{{kind}}", table=TABLES, kind=["tsv", "md", "tex", "html"]),
        f"{RESULTS}/leaderboard.html",
    ]


def caption_of(name):
    """Captions go through params, since the path of a caption file cannot hold a wildcard."""
    return Path(workflow.basedir, "workflow", "report", f"{name.partition('-')[0]}.rst").read_text()


def inputs_of(folder, known, wildcard):
    """Inputs of a figure or table: tables it reads and the modules it is made by."""

    def inputs(wildcards):
        name = wildcards[wildcard]
        return {k: COLLECTED[k] for k in known[name][0]} | {"sources": sources(f"{folder}.{name.partition('-')[0]}")}

    return inputs
