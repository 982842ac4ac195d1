from pathlib import Path

from lamofc.stages.draw import files
from lamofc.stages.job import logged
from lamofc.worker import call

out = {kind: Path(snakemake.output[kind]) for kind in ("tsv", "md", "tex", "html")}
with logged(snakemake.log[0]):
    call(
        ("draw", ["lamofc.plotting.layout", "pandas"]),
        "lamofc.stages.draw:tabulate",
        table=snakemake.wildcards.table,
        read=files(dict(snakemake.input.items())),
        options=snakemake.params.options,
        **out,
    )
