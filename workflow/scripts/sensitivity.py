from pathlib import Path

from lamofc.stages.job import logged
from lamofc.worker import call

files, params = snakemake.input, snakemake.params
with logged(snakemake.log[0]):
    call(
        params.worker,
        "lamofc.stages.sensitivity:sensitivity",
        row=params.row,
        model_row=params.model_row,
        weights=Path(files.model),
        dataset=Path(files.dataset),
        readout=Path(files.readout[0]) if files.readout else None,
        out=Path(snakemake.output[0]),
        of=params.of,
    )
