# Heads over data sets: features into chunked Zarr stores, and the readouts that tails end in.
rule fit_readout:
    input:
        model=lambda w: f"resources/models/{readout_row(w)['model']}",
        datasets=lambda w: [f"resources/data/{d}" for d in readout_row(w)["datasets"]],
        shipped=shipped_readout,
        sources=lambda w: sources("lamofc.stages.fit_readout", *readout_modules(w)),
    output:
        f"{RESULTS}/readouts/{{readout}}.safetensors",
    log:
        f"{LOGS}/fit_readout/{{readout}}.log",
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=memory(3000),
        runtime=hours(1),
        gpu=GPU,
    params:
        worker=lambda w: ("torch", readout_modules(w)),
        row=readout_row,
        model_row=lambda w: plan.models[readout_row(w)["model"]],
    script:
        "../scripts/fit_readout.py"


rule extract:
    input:
        model=model_folder,
        dataset=dataset_folder,
        readout=readout_file,
        sources=model_sources("extract"),
    output:
        directory(f"{RESULTS}/features/{{curve}}"),
    log:
        f"{LOGS}/extract/{{curve}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/extract/{{curve}}.tsv"
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
    script:
        "../scripts/extract.py"


# The tail's gradients on calibration samples; task-agnostic, no labels.
rule sensitivity:
    input:
        model=model_folder,
        dataset=dataset_folder,
        readout=readout_file,
        sources=model_sources("sensitivity"),
    output:
        f"{RESULTS}/sensitivity/{{curve}}.safetensors",
    log:
        f"{LOGS}/sensitivity/{{curve}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/sensitivity/{{curve}}.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=memory(1500, 4),
        runtime=hours(4),
        gpu=GPU,
    params:
        worker=model_worker,
        row=row,
        model_row=model_row,
        of="feature",
    script:
        "../scripts/sensitivity.py"


# Those of the task's answer, where an arm is tuned to it; the model's own answers, no labels.
use rule sensitivity as sensitivity_of_answer with:
    output:
        f"{RESULTS}/sensitivity-answer/{{curve}}.safetensors",
    log:
        f"{LOGS}/sensitivity-answer/{{curve}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/sensitivity-answer/{{curve}}.tsv"
    params:
        worker=model_worker,
        row=row,
        model_row=model_row,
        of="answer",
