from pathlib import Path

from lamofc.stages.job import logged
from lamofc.worker import call

files, params = snakemake.input, snakemake.params
with logged(snakemake.log[0]):
    call(
        params.worker,
        "lamofc.stages.fit_readout:fit_readout",
        name=snakemake.wildcards.readout,
        row=params.row,
        model_row=params.model_row,
        weights=Path(files.model),
        datasets=[Path(d) for d in files.datasets],
        out=Path(snakemake.output[0]),
    )
