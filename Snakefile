# Large model feature coding, from packages to figures. `snakemake --cores N` makes everything.
import sys

from snakemake.utils import min_version

min_version("9.0")


configfile: "config/config.yaml"


container: "containers/lamofc.sif"  # for --sdm apptainer alone; made from lamofc.def beside it


include: "workflow/rules/common.smk"
include: "workflow/rules/fetch.smk"
include: "workflow/rules/extract.smk"
include: "workflow/rules/imported.smk"
include: "workflow/rules/code.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report_plan.smk"
include: "workflow/rules/report.smk"


# One run per results folder. Jobs on this machine share processes that have their libraries imported.
onstart:
    try:
        lock.hold(Path(RESULTS))
    except LamofcError as error:
        raise WorkflowError(str(error)) from None
    if workflow.local_exec:
        worker.offer()


rule all:
    default_target: True
    input:
        report_files(),


# Everything that needs the network: run it on a node that has one, the rest needs none.
rule fetch:
    input:
        [f"resources/models/{m}" for m in used("model")],
        [f"resources/data/{d}" for d in used("dataset")],
        published_packages(),
