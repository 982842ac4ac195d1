# Figures, tables, the leaderboard and captions of the report: from the collected tables and the feature stores.


report: "../report/workflow.rst"


rule draw:
    input:
        unpack(inputs_of("figures", FIGURES, "figure")),
    output:
        svg=report(
            f"{RESULTS}/figures/{{figure}}.svg",
            caption="../report/caption.rst",
            category="Figures",
            subcategory=lambda w: w.figure.partition("-")[2] or "all curves",
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
        caption=lambda w: caption_of(w.figure),
    script:
        "../scripts/draw.py"


rule tabulate:
    input:
        unpack(inputs_of("tables", TABLES, "table")),
    output:
        tsv=f"{RESULTS}/tables/{{table}}.tsv",
        md=f"{RESULTS}/tables/{{table}}.md",
        tex=f"{RESULTS}/tables/{{table}}.tex",
        html=report(
            f"{RESULTS}/tables/{{table}}.html",
            caption="../report/caption.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
    log:
        f"{LOGS}/tabulate/{{table}}.log",
    wildcard_constraints:
        table="|".join(TABLES),
    localrule: True
    conda:
        "../../envs/draw.yaml"
    params:
        options=lambda w: TABLES[w.table][1],
        caption=lambda w: caption_of(w.table),
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
        "../../envs/codecs.yaml"
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
        curves={c: r for c, r in plan.curves.items() if c not in IMPORTED},
    script:
        "../scripts/measure_inputs.py"


rule leaderboard:
    input:
        scores=COLLECTED["scores"],
        rates=COLLECTED["rates"],
        bits=COLLECTED["bits"],
        config=config["codecs"],
        inputs=config["inputs"],
        template="workflow/scripts/leaderboard.html",
        sources=sources("lamofc.results.leaderboard"),
    output:
        report(
            f"{RESULTS}/leaderboard.html",
            caption="../report/leaderboard.rst",
            category="Leaderboard",
            labels={"page": "leaderboard"},
        ),
    log:
        f"{LOGS}/leaderboard.log",
    localrule: True
    conda:
        "../../envs/draw.yaml"
    script:
        "../scripts/leaderboard.py"
