import importlib
from pathlib import Path

from lamofc.results import numbers
from lamofc.stages.job import logged

files, out = dict(snakemake.input.items()), snakemake.output
with logged(snakemake.log[0]):
    module = importlib.import_module(f"tables.{snakemake.wildcards.table}")
    read = {k: [Path(f) for f in v] if isinstance(v, list) else Path(v) for k, v in files.items() if k != "sources"}
    numbers.write(*module.make(**read, **snakemake.params.options), *(Path(out[k]) for k in ("tsv", "md", "tex")))
