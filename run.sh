#!/usr/bin/env bash
# Make the local environment if needed, run the workflow, write the report: ./run.sh [snakemake arguments]
set -euo pipefail
cd "$(dirname "$0")"
. ./environment.sh
snakemake "$@"

# The report is made after the run, from what it left. It is for whole runs: not for dry runs or single targets.
results=results previous=
for argument in "$@"; do
  case "$argument" in
  -n | --dry-run | --dryrun | --lint | --unlock | --until | results/* | resources/* | fetch) exit 0 ;;
  esac
  [[ $previous != --configfile ]] || results=$(sed -n 's/^results: *\([^ #]*\).*/\1/p' "$argument")
  previous=$argument
done
results=${results:-results}
if [ ! "$results/report.html" -nt "$results/scores.tsv" ]; then
  snakemake "$@" --report "$results/report.html"
fi
echo "open $results/report.html and $results/leaderboard.html" >&2
