#!/usr/bin/env bash
# All checks: style, workflow lint, tests on real models (fetched first). Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")"
. ./environment.sh
ruff check .
ruff format --check .
snakefmt --check Snakefile workflow/rules
snakemake --lint
snakemake fetch --cores all --quiet all
# a file a worker, so that what a file makes once is made once; one thread each, cores are taken
OMP_NUM_THREADS=1 pytest -n auto --dist loadfile "$@"
