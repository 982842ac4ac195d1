from pathlib import Path

from lamofc.stages.job import logged
from lamofc.worker import call

files, params = snakemake.input, snakemake.params
with logged(snakemake.log[0]):
    call(
        params.worker,
        "lamofc.stages.code_inputs:encode",
        entry=params.entry,
        ladder=params.ladder,
        row=params.row,
        weights=Path(files.model),
        dataset=Path(files.dataset),
        out=Path(snakemake.output[0]),
    )
