from pathlib import Path

from lamofc.stages.job import logged
from lamofc.worker import call

params = snakemake.params
with logged(snakemake.log[0]):
    call(
        params.worker,
        "lamofc.stages.imported:import_features",
        row=params.row,
        model_row=params.model_row,
        source=Path(snakemake.input.source),
        out=Path(snakemake.output[0]),
    )
