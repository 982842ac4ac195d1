from pathlib import Path

from lamofc.stages.job import logged
from lamofc.worker import call

files, params = snakemake.input, snakemake.params
with logged(snakemake.log[0]):
    call(
        params.worker,
        "lamofc.stages.fit_through_tail:fit",
        entry=params.entry,
        row=params.row,
        model_row=params.model_row,
        weights=Path(files.model),
        dataset=Path(files.dataset),
        readout=Path(files.readout[0]) if files.readout else None,
        calibration=Path(files.features) / "calibration.zarr",
        sensitivity=Path(files.sensitivity),
        out=Path(snakemake.output[0]),
    )
