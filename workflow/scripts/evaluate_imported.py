from pathlib import Path

from lamofc.stages.job import logged
from lamofc.worker import call

files, params = snakemake.input, snakemake.params
with logged(snakemake.log[0]):
    call(
        params.worker,
        "lamofc.stages.imported:evaluate",
        row=params.row,
        codec=snakemake.wildcards.arm,
        family=params.family,
        originals=Path(files.features),
        bitstreams=Path(files.bitstreams),
        decoded=Path(files.decoded),
        asset_bytes=sum(Path(f).stat().st_size for f in params.assets.values()),
        out=Path(snakemake.output[0]),
    )
