from pathlib import Path

from lamofc.stages.code import decode
from lamofc.stages.job import logged

with logged(snakemake.log[0]):
    decode(Path(snakemake.input.bitstreams), snakemake.params.assets, Path(snakemake.output[0]))
