import importlib
from pathlib import Path

from lamofc import plotting
from lamofc.stages.job import logged

files, out = dict(snakemake.input.items()), snakemake.output
with logged(snakemake.log[0]):
    module = importlib.import_module(f"figures.{snakemake.wildcards.figure}")
    read = {k: [Path(f) for f in v] if isinstance(v, list) else Path(v) for k, v in files.items() if k != "sources"}
    plotting.save(module.draw(**read, **snakemake.params.options), Path(out.svg), Path(out.pdf), Path(out.png))
