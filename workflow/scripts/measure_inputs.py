from pathlib import Path

from lamofc.jsonio import write_text
from lamofc.results import inputs
from lamofc.stages.job import logged

datasets = {Path(f).name: Path(f) for f in snakemake.input.datasets}
with logged(snakemake.log[0]):
    table = inputs.collect(snakemake.params.curves, datasets)
    write_text(Path(snakemake.output[0]), table.to_csv(sep="\t", index=False, float_format="%.6g"))
