from pathlib import Path

from lamofc.stages.job import logged
from lamofc.stages.sensitivity import sensitivity

files, params = snakemake.input, snakemake.params
readout = Path(files.readout[0]) if files.readout else None
with logged(snakemake.log[0]):
    sensitivity(
        params.row, params.model_row, Path(files.model), Path(files.dataset), readout, Path(snakemake.output[0])
    )
