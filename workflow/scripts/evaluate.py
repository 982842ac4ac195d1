from pathlib import Path

from lamofc.stages.job import logged
from lamofc.worker import call

files, params = snakemake.input, snakemake.params
with logged(snakemake.log[0]):
    call(
        params.worker,
        "lamofc.stages.evaluate:evaluate",
        row=params.row,
        model_row=params.model_row,
        codec=snakemake.wildcards.arm,
        family=params.family,
        weights=Path(files.model),
        dataset=Path(files.dataset),
        readout=Path(files.readout[0]) if files.readout else None,
        originals=Path(files.features),
        bitstreams=Path(files.bitstreams),
        decoded=Path(files.decoded),
        asset_bytes=sum(Path(f).stat().st_size for f in params.assets.values()),
        out=Path(snakemake.output[0]),
    )
