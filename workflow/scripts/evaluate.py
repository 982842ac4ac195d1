from pathlib import Path

from lamofc.stages.evaluate import evaluate
from lamofc.stages.fit import asset_bytes
from lamofc.stages.job import logged

files, params = snakemake.input, snakemake.params
with logged(snakemake.log[0]):
    evaluate(
        params.row,
        params.model_row,
        codec=snakemake.wildcards.arm,
        family=params.family,
        weights=Path(files.model),
        dataset=Path(files.dataset),
        readout=Path(files.readout[0]) if files.readout else None,
        originals=Path(files.features),
        bitstreams=Path(files.bitstreams),
        decoded=Path(files.decoded),
        asset_bytes=asset_bytes(params.assets.values()),
        out=Path(snakemake.output[0]),
    )
