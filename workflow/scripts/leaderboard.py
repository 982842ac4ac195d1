from pathlib import Path

from lamofc.results.leaderboard import page
from lamofc.stages.job import logged

files = snakemake.input
with logged(snakemake.log[0]):
    named = {k: Path(files[k]) for k in ("template", "scores", "rates", "bits", "config", "inputs")}
    page(**named, out=Path(snakemake.output[0]))
