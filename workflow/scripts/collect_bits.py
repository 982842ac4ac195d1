from pathlib import Path

from lamofc.jsonio import write_text
from lamofc.results import bits
from lamofc.stages.job import logged

with logged(snakemake.log[0]):
    table = bits.collect([Path(f) for f in snakemake.input.bitstreams])
    write_text(Path(snakemake.output[0]), table.to_csv(sep="\t", index=False))
