from pathlib import Path

from lamofc.stages.fit import fit
from lamofc.stages.job import logged

files = snakemake.input
sensitivity = Path(files.sensitivity[0]) if files.sensitivity else None
with logged(snakemake.log[0]):
    fit(snakemake.params.entry, Path(files.features) / "calibration.zarr", Path(snakemake.output[0]), sensitivity)
