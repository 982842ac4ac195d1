# Decoded features through the tail, and the one table that figures and tables read.
rule evaluate:
    input:
        features=f"{RESULTS}/features/{{curve}}",
        bitstreams=f"{RESULTS}/bitstreams/{{curve}}/{{arm}}",
        decoded=f"{RESULTS}/decoded/{{curve}}/{{arm}}",
        model=model_folder,
        dataset=dataset_folder,
        readout=readout_file,
        assets=fitted_assets,
        network=network_file,
        sources=model_sources("evaluate"),
    output:
        f"{RESULTS}/scores/{{curve}}/{{arm}}.json",
    log:
        f"{LOGS}/evaluate/{{curve}}/{{arm}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate/{{curve}}/{{arm}}.tsv"
    wildcard_constraints:
        curve=MODEL_CURVES,
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=memory(1500, 2),
        runtime=hours(4),
        gpu=GPU,
    params:
        worker=model_worker,
        row=row,
        model_row=model_row,
        family=family_of,
        assets=lambda w, input: assets_of(input),
    script:
        "../scripts/evaluate.py"


rule collect:
    input:
        scores=[f"{RESULTS}/scores/{c}/{a}.json" for c, a in plan.pairs + plan.input_pairs],
        sources=sources("lamofc.stages.collect"),
    output:
        tsv=f"{RESULTS}/scores.tsv",
        parquet=f"{RESULTS}/scores.parquet",
        outcomes=f"{RESULTS}/outcomes.parquet",
    log:
        f"{LOGS}/collect.log",
    localrule: True
    conda:
        "../../envs/draw.yaml"
    script:
        "../scripts/collect.py"
