from pathlib import Path

from lamofc.convert import convert
from lamofc.stages.job import logged

row = snakemake.params.row
with logged(snakemake.log[0]):
    packages = {p: Path("resources/packages") / p for p in row["packages"]}
    if "training" in row:
        packages[row["training"]] = Path("resources/trained") / row["training"]
    convert(row["convert"], packages, Path(snakemake.output[0]), row.get("convert_options", {}))
