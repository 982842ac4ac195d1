from pathlib import Path

from lamofc.stages.fit import fit
from lamofc.stages.job import logged

with logged(snakemake.log[0]):
    fit(snakemake.params.entry, Path(snakemake.input.features) / "calibration.zarr", Path(snakemake.output[0]))
