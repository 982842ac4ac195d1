# Curves of models of family `hosted`: their features are files that others published, put below resources/features/.
rule import_features:
    input:
        source=lambda w: f"resources/features/{row(w)['dataset']}",
        sources=sources("lamofc.stages.imported"),
    output:
        directory(f"{RESULTS}/features/{{curve}}"),
    log:
        f"{LOGS}/import_features/{{curve}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/import_features/{{curve}}.tsv"
    wildcard_constraints:
        curve=IMPORTED_CURVES,
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=60,
    params:
        worker=("torch", ["torch"]),
        row=row,
        model_row=model_row,
    script:
        "../scripts/import_features.py"


rule evaluate_imported:
    input:
        features=f"{RESULTS}/features/{{curve}}",
        bitstreams=f"{RESULTS}/bitstreams/{{curve}}/{{arm}}",
        decoded=f"{RESULTS}/decoded/{{curve}}/{{arm}}",
        assets=fitted_assets,
        network=network_file,
        sources=sources("lamofc.stages.imported"),
    output:
        f"{RESULTS}/scores/{{curve}}/{{arm}}.json",
    log:
        f"{LOGS}/evaluate_imported/{{curve}}/{{arm}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_imported/{{curve}}/{{arm}}.tsv"
    wildcard_constraints:
        curve=IMPORTED_CURVES,
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=120,
    params:
        worker=("torch", ["torch"]),
        row=row,
        family=lambda w: codecs.load(arm(w)["codec"]).family,
        assets=lambda w, input: assets_of(input),
    script:
        "../scripts/evaluate_imported.py"
