from pathlib import Path

from lamofc.stages.job import logged
from lamofc.worker import call

params = snakemake.params
with logged(snakemake.log[0]):
    call(
        params.worker,
        "lamofc.stages.code:decode",
        bitstreams=Path(snakemake.input.bitstreams),
        assets=params.assets,
        out=Path(snakemake.output[0]),
    )
