from pathlib import Path

from lamofc.stages.code import encode
from lamofc.stages.job import logged

params = snakemake.params
with logged(snakemake.log[0]):
    features = Path(snakemake.input.features) / "test.zarr"
    encode(params.entry, params.ladder, features, params.assets, Path(snakemake.output[0]))
