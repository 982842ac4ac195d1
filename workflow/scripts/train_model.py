from pathlib import Path

from lamofc.stages.job import logged
from lamofc.stages.train_language_model import train_language_model

files, entry = snakemake.input, snakemake.params.entry
with logged(snakemake.log[0]):
    train_language_model(
        snakemake.wildcards.training,
        entry,
        datasets=dict(zip(entry["datasets"], map(Path, files.datasets), strict=False)),
        books=dict(zip(entry.get("books", []), map(Path, files.books), strict=False)),
        out=Path(snakemake.output[0]),
        begin=next(map(Path, files.begin), None),
    )
