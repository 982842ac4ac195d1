# Codecs: assets from calibration features, one bitstream file per point, and features decoded from those alone.
rule fit:
    input:
        features=f"{RESULTS}/features/{{curve}}",
        sensitivity=sensitivity_file,
        sources=codec_sources("fit"),
    output:
        f"{RESULTS}/assets/{{curve}}/{{arm}}.safetensors",
    log:
        f"{LOGS}/fit/{{curve}}/{{arm}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fit/{{curve}}/{{arm}}.tsv"
    wildcard_constraints:
        arm=FITTED_ARMS,
    conda:
        "../../envs/codecs.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=hours(1),
    params:
        worker=codec_worker,
        entry=entry_of,
    script:
        "../scripts/fit.py"


# Codecs that are trained by gradients through the tail; where features are imported there is none.
rule fit_through_tail:
    input:
        features=f"{RESULTS}/features/{{curve}}",
        sensitivity=f"{RESULTS}/sensitivity/{{curve}}.safetensors",
        model=model_folder,
        dataset=dataset_folder,
        readout=readout_file,
        sources=lambda w: sources("lamofc.stages.fit_through_tail", *tail_modules(w)),
    output:
        f"{RESULTS}/assets/{{curve}}/{{arm}}.safetensors",
    log:
        f"{LOGS}/fit/{{curve}}/{{arm}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fit/{{curve}}/{{arm}}.tsv"
    wildcard_constraints:
        arm=TAIL_ARMS,
        curve=MODEL_CURVES,
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=memory(3000, 4),
        runtime=hours(4),
        gpu=GPU,
    params:
        worker=lambda w: ("torch", tail_modules(w)),
        entry=entry_of,
        row=row,
        model_row=model_row,
    script:
        "../scripts/fit_through_tail.py"


use rule fit as fit_imported with:
    wildcard_constraints:
        arm=TAIL_ARMS,
        curve=IMPORTED_CURVES,


rule encode:
    input:
        features=f"{RESULTS}/features/{{curve}}",
        assets=fitted_assets,
        network=network_file,
        sources=codec_sources("code"),
    output:
        directory(f"{RESULTS}/bitstreams/{{curve}}/{{arm}}"),
    log:
        f"{LOGS}/encode/{{curve}}/{{arm}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/encode/{{curve}}/{{arm}}.tsv"
    wildcard_constraints:
        arm=NUMERIC_ARMS,
    conda:
        "../../envs/codecs.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=hours(4),
    params:
        worker=codec_worker,
        entry=entry_of,
        ladder=lambda w: arm(w)["ladder"],
        assets=lambda w, input: assets_of(input),
    script:
        "../scripts/encode.py"


rule decode:
    input:
        bitstreams=f"{RESULTS}/bitstreams/{{curve}}/{{arm}}",
        assets=fitted_assets,
        network=network_file,
    output:
        temp(directory(f"{RESULTS}/decoded/{{curve}}/{{arm}}")),
    log:
        f"{LOGS}/decode/{{curve}}/{{arm}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/decode/{{curve}}/{{arm}}.tsv"
    wildcard_constraints:
        arm=NUMERIC_ARMS,
    conda:
        "../../envs/codecs.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=hours(4),
    params:
        worker=codec_worker,
        assets=lambda w, input: assets_of(input),
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


# Sending the input instead: the far side decodes it and runs the head as well. Scored like the others.
rule encode_input:
    input:
        model=model_folder,
        dataset=dataset_folder,
        sources=lambda w: sources("lamofc.stages.code_inputs", f"lamofc.inputs.{arm(w)['input']}"),
    output:
        directory(f"{RESULTS}/bitstreams/{{curve}}/{{arm}}"),
    log:
        f"{LOGS}/encode/{{curve}}/{{arm}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/encode/{{curve}}/{{arm}}.tsv"
    wildcard_constraints:
        arm=INPUT_ARMS,
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=60,
    params:
        worker=model_worker,
        entry=lambda w: {k: v for k, v in arm(w).items() if k in ("input", "parameters")},
        ladder=lambda w: arm(w)["ladder"],
        row=row,
    script:
        "../scripts/encode_input.py"


rule decode_input:
    input:
        bitstreams=f"{RESULTS}/bitstreams/{{curve}}/{{arm}}",
        model=model_folder,
        readout=readout_file,
    output:
        temp(directory(f"{RESULTS}/decoded/{{curve}}/{{arm}}")),
    log:
        f"{LOGS}/decode/{{curve}}/{{arm}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/decode/{{curve}}/{{arm}}.tsv"
    wildcard_constraints:
        arm=INPUT_ARMS,
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=60,
    params:
        worker=model_worker,
        row=row,
        model_row=model_row,
    script:
        "../scripts/decode_input.py"


rule train:
    input:
        features=training_features,
        shipped=shipped_network,
        package=published_network,
        sources=sources("lamofc.networks.training", "lamofc.networks.published", "lamofc.stages.train"),
    output:
        weights=f"{RESULTS}/networks/{{network}}.safetensors",
        record=f"{RESULTS}/networks/{{network}}.json",
    log:
        f"{LOGS}/train/{{network}}.log",
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=memory(8000),
        runtime=hours(24),
    params:
        entry=lambda w: plan.networks[w.network],
    script:
        "../scripts/train.py"
