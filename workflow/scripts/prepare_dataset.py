from pathlib import Path

from lamofc.datasets import build
from lamofc.stages.job import logged

row = snakemake.params.row
with logged(snakemake.log[0]):
    packages = {p: Path("resources/packages") / p for p in row["packages"]}
    build(row["builder"], packages, Path(snakemake.output[0]), row.get("options", {}), row["seed"])
