from pathlib import Path

from lamofc.stages.collect import collect
from lamofc.stages.job import logged

with logged(snakemake.log[0]):
    out = snakemake.output
    collect([Path(s) for s in snakemake.input.scores], Path(out.tsv), Path(out.parquet), Path(out.outcomes))
