from pathlib import Path

from lamofc.fetch import fetch
from lamofc.stages.job import logged

with logged(snakemake.log[0]):
    fetch(
        snakemake.wildcards.package,
        snakemake.params.entry,
        Path(snakemake.output[0]),
        Path("resources/cache").resolve(),
        Path(snakemake.params.pins),
    )
