# Codecs: assets from calibration features, one bitstream file per point, and features decoded from those alone.
rule fit:
    input:
        features=f"{RESULTS}/features/{{curve}}",
        sources=codec_sources("fit"),
    output:
        f"{RESULTS}/assets/{{curve}}/{{arm}}.safetensors",
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
