# What the report consists of: figures, tables, and what each of them reads.
ANCHOR = {"anchor": config["anchor"]}
COLLECTED = {
    "scores": f"{RESULTS}/scores.tsv",
    "samples": f"{RESULTS}/outcomes.parquet",
    "rates": f"{RESULTS}/tables/rate_at.tsv",
    "bits": f"{RESULTS}/bits.tsv",
    "inputs": f"{RESULTS}/inputs.tsv",
    "features": [f"{RESULTS}/features/{c}" for c in plan.curves],
}
DEVICES = {"devices": config["devices"]}
# name: (what it reads, what the configuration tells it)
FIGURES = {
    "rate_score": (["scores"], {}),
    "heatmap": (["scores", "rates"], {}),
    "should_i_split": (["scores", "inputs"], DEVICES),
    "cost": (["scores"], {}),
    "where_bits_go": (["scores", "bits"], {}),
    "distortion_score": (["scores"], {}),
    "feature_statistics": (["scores", "features"], {}),
}
TABLES = {
    "rate_at": (["scores", "samples"], {}),
    "codecs": (["scores", "rates"], ANCHOR),
    "models": (["scores", "samples"], {}),
    "differences": (["scores", "samples"], {}),
    "break_even": (["scores", "inputs"], DEVICES),
    "ladders": (["scores", "samples"], {}),
}
if any(a.startswith("dtufc-") for a in plan.arms):
    FIGURES["anchors"] = (["scores"], {})
if any("transfer" in plan.arms[a] for _, a in plan.pairs if a in plan.arms):
    FIGURES["generalisation"] = (["scores"], {})
if config["anchor"] in plan.arms:
    TABLES |= {"bd_rate": (["scores", "samples"], ANCHOR), "bd_score": (["scores", "samples"], ANCHOR)}


def report_files():
    return [
        f"{RESULTS}/scores.tsv",
        *expand(f"{RESULTS}/figures/{{figure}}.{{kind}}", figure=FIGURES, kind=["svg", "pdf", "png"]),
        *expand(f"{RESULTS}/tables/{{table}}.{{kind}}", table=TABLES, kind=["tsv", "md", "tex"]),
        f"{RESULTS}/leaderboard.html",
    ]


def caption_of(name):
    """Captions go through params, since the path of a caption file cannot hold a wildcard."""
    return Path(workflow.basedir, "workflow", "report", f"{name}.rst").read_text()


def inputs_of(folder, known, wildcard):
    """Inputs of a figure or table: tables it reads and the modules it is made by."""

    def inputs(wildcards):
        name = wildcards[wildcard]
        return {k: COLLECTED[k] for k in known[name][0]} | {"sources": sources(f"{folder}.{name}")}

    return inputs
