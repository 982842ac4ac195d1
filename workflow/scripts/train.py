from pathlib import Path

from lamofc.stages.job import logged
from lamofc.stages.train import train

stores = [Path(f) / "calibration.zarr" for f in snakemake.input.features]
with logged(snakemake.log[0]):
    package = next(map(Path, snakemake.input.package), None)
    train(snakemake.wildcards.network, snakemake.params.entry, stores, Path(snakemake.output.weights), package)
