from pathlib import Path

from lamofc.stages.fit_readout import fit_readout
from lamofc.stages.job import logged

files, params = snakemake.input, snakemake.params
with logged(snakemake.log[0]):
    fit_readout(params.row, params.model_row, Path(files.model), Path(files.dataset), Path(snakemake.output[0]))
