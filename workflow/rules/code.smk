# Codecs: assets from calibration features, one bitstream file per point, and features decoded from those alone.
rule fit:
    input:
        features=f"{RESULTS}/features/{{curve}}",
        sensitivity=sensitivity_file,
        sources=codec_sources("fit"),
    output:
        f"{RESULTS}/assets/{{curve}}/{{arm}}.safetensors",
    wildcard_constraints:
        arm=NUMERIC_ARMS,
    params:
        entry=entry_of,
    log:
        f"{LOGS}/fit/{{curve}}/{{arm}}.log",
    conda:
        "../../envs/codecs.yaml"
    benchmark:
        f"{RESULTS}/benchmarks/fit/{{curve}}/{{arm}}.tsv"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=60,
    script:
        "../scripts/fit.py"


rule encode:
    input:
        features=f"{RESULTS}/features/{{curve}}",
        assets=fitted_assets,
        network=network_file,
        sources=codec_sources("code"),
    output:
        directory(f"{RESULTS}/bitstreams/{{curve}}/{{arm}}"),
    wildcard_constraints:
        arm=NUMERIC_ARMS,
    params:
        entry=entry_of,
        ladder=lambda w: arm(w)["ladder"],
        assets=lambda w, input: assets_of(input),
    log:
        f"{LOGS}/encode/{{curve}}/{{arm}}.log",
    conda:
        "../../envs/codecs.yaml"
    benchmark:
        f"{RESULTS}/benchmarks/encode/{{curve}}/{{arm}}.tsv"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=120,
    script:
        "../scripts/encode.py"


rule decode:
    input:
        bitstreams=f"{RESULTS}/bitstreams/{{curve}}/{{arm}}",
        assets=fitted_assets,
        network=network_file,
    output:
        temp(directory(f"{RESULTS}/decoded/{{curve}}/{{arm}}")),
    wildcard_constraints:
        arm=NUMERIC_ARMS,
    params:
        assets=lambda w, input: assets_of(input),
    log:
        f"{LOGS}/decode/{{curve}}/{{arm}}.log",
    conda:
        "../../envs/codecs.yaml"
    benchmark:
        f"{RESULTS}/benchmarks/decode/{{curve}}/{{arm}}.tsv"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=120,
    script:
        "../scripts/decode.py"


use rule fit as fit_learned with:
    wildcard_constraints:
        arm=LEARNED_ARMS,
    conda:
        "../../envs/torch.yaml"


use rule encode as encode_learned with:
    wildcard_constraints:
        arm=LEARNED_ARMS,
    conda:
        "../../envs/torch.yaml"


use rule decode as decode_learned with:
    wildcard_constraints:
        arm=LEARNED_ARMS,
    conda:
        "../../envs/torch.yaml"


rule train:
    input:
        features=training_features,
        shipped=shipped_network,
        sources=sources("lamofc.networks.training", "lamofc.stages.train"),
    output:
        weights=f"{RESULTS}/networks/{{network}}.safetensors",
        record=f"{RESULTS}/networks/{{network}}.json",
    params:
        entry=lambda w: plan.networks[w.network],
    log:
        f"{LOGS}/train/{{network}}.log",
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=600,
    script:
        "../scripts/train.py"
