from pathlib import Path

from lamofc.stages.job import logged
from lamofc.worker import call

params = snakemake.params
with logged(snakemake.log[0]):
    call(
        params.worker,
        "lamofc.stages.code:encode",
        entry=params.entry,
        ladder=params.ladder,
        features=Path(snakemake.input.features) / "test.zarr",
        assets=params.assets,
        out=Path(snakemake.output[0]),
    )
