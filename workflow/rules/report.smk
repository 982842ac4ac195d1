# Figures, tables and the report: from scores.tsv and the feature stores, nothing else.
FIGURES = ["rate_score"]


def report_files():
    return [f"{RESULTS}/scores.tsv", f"{RESULTS}/report.html", *expand(f"{RESULTS}/figures/{{figure}}.svg", figure=FIGURES)]


rule draw:
    input:
        scores=f"{RESULTS}/scores.tsv",
        script="workflow/scripts/figures/{figure}.py",
        sources=sources("lamofc.plotting"),
    output:
        svg=f"{RESULTS}/figures/{{figure}}.svg",
        pdf=f"{RESULTS}/figures/{{figure}}.pdf",
        png=f"{RESULTS}/figures/{{figure}}.png",
    log:
        f"{LOGS}/draw/{{figure}}.log",
    conda:
        "../../envs/draw.yaml"
    localrule: True
    script:
        "../scripts/figures/{wildcards.figure}.py"
