from pathlib import Path

from lamofc.stages.job import logged
from lamofc.worker import call

files, params = snakemake.input, snakemake.params
with logged(snakemake.log[0]):
    call(
        params.worker,
        "lamofc.stages.fit:fit",
        entry=params.entry,
        calibration=Path(files.features) / "calibration.zarr",
        out=Path(snakemake.output[0]),
        sensitivity=Path(files.sensitivity[0]) if files.sensitivity else None,
    )
