from pathlib import Path

from lamofc.stages.collect import collect
from lamofc.stages.job import logged

with logged(snakemake.log[0]):
    collect([Path(s) for s in snakemake.input.scores], *(Path(snakemake.output[k]) for k in ("tsv", "parquet", "outcomes")))
