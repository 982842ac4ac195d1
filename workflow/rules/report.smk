# Figures, tables, the leaderboard and captions of the report: from the collected tables and the feature stores.
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
}
if any(a.startswith("dtufc-") for a in plan.arms):
    FIGURES["anchors"] = (["scores"], {})
if config["anchor"] in plan.arms:
    TABLES |= {"bd_rate": (["scores", "samples"], ANCHOR), "bd_score": (["scores", "samples"], ANCHOR)}


def report_files():
    return [
        f"{RESULTS}/scores.tsv",
        *expand(f"{RESULTS}/figures/{{figure}}.{{kind}}", figure=FIGURES, kind=["svg", "pdf", "png"]),
        *expand(f"{RESULTS}/tables/{{table}}.{{kind}}", table=TABLES, kind=["tsv", "md", "tex"]),
        f"{RESULTS}/leaderboard.html",
    ]


def inputs_of(folder, known, wildcard):
    """Inputs of a figure or table: tables it reads and the modules it is made by."""

    def inputs(wildcards):
        name = wildcards[wildcard]
        return {k: COLLECTED[k] for k in known[name][0]} | {"sources": sources(f"{folder}.{name}")}

    return inputs


rule draw:
    input:
        unpack(inputs_of("figures", FIGURES, "figure")),
    output:
        svg=report(
            f"{RESULTS}/figures/{{figure}}.svg",
            caption="../report/{figure}.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        pdf=f"{RESULTS}/figures/{{figure}}.pdf",
        png=f"{RESULTS}/figures/{{figure}}.png",
    log:
        f"{LOGS}/draw/{{figure}}.log",
    wildcard_constraints:
        figure="|".join(FIGURES),
    localrule: True
    conda:
        "../../envs/draw.yaml"
    params:
        options=lambda w: FIGURES[w.figure][1],
    script:
        "../scripts/draw.py"


rule tabulate:
    input:
        unpack(inputs_of("tables", TABLES, "table")),
    output:
        tsv=report(
            f"{RESULTS}/tables/{{table}}.tsv",
            caption="../report/{table}.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
        md=f"{RESULTS}/tables/{{table}}.md",
        tex=f"{RESULTS}/tables/{{table}}.tex",
    log:
        f"{LOGS}/tabulate/{{table}}.log",
    wildcard_constraints:
        table="|".join(TABLES),
    localrule: True
    conda:
        "../../envs/draw.yaml"
    params:
        options=lambda w: TABLES[w.table][1],
    script:
        "../scripts/make_table.py"


rule bits:
    input:
        bitstreams=[f"{RESULTS}/bitstreams/{c}/{a}" for c, a in plan.pairs],
        sources=sources("lamofc.results.bits"),
    output:
        f"{RESULTS}/bits.tsv",
    log:
        f"{LOGS}/bits.log",
    localrule: True
    conda:
        "../../envs/draw.yaml"
    script:
        "../scripts/collect_bits.py"


rule inputs:
    input:
        datasets=[f"resources/data/{d}" for d in used("dataset")],
        sources=sources("lamofc.results.inputs"),
    output:
        f"{RESULTS}/inputs.tsv",
    log:
        f"{LOGS}/inputs.log",
    localrule: True
    conda:
        "../../envs/draw.yaml"
    params:
        curves=plan.curves,
    script:
        "../scripts/measure_inputs.py"


rule leaderboard:
    input:
        scores=COLLECTED["scores"],
        rates=COLLECTED["rates"],
        bits=COLLECTED["bits"],
        config=config["codecs"],
        template="workflow/scripts/leaderboard.html",
        sources=sources("lamofc.results.leaderboard"),
    output:
        report(f"{RESULTS}/leaderboard.html", caption="../report/leaderboard.rst", category="Leaderboard"),
    log:
        f"{LOGS}/leaderboard.log",
    localrule: True
    conda:
        "../../envs/draw.yaml"
    script:
        "../scripts/leaderboard.py"
