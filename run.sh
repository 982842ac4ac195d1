#!/usr/bin/env bash
# Make the local environment if needed, then run the workflow: ./run.sh [snakemake arguments]
set -euo pipefail
cd "$(dirname "$0")"
. ./environment.sh
snakemake "$@"
