#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How much faster N ranks of one thread evaluate the same pictures than one rank of one thread; both scores must be equal.
#   bench/ranks.sh [PICTURES [REPETITIONS]]      KOVOS_BUILD_DIR (default build/release) holds bin/kovos
# KOVOS_BENCH_RANKS   number of ranks (default 2); a figure means something only where that many cores are idle
set -euo pipefail
cd "$(dirname "$0")/.."
pictures=${1:-60} repetitions=${2:-3} ranks=${KOVOS_BENCH_RANKS:-2}
kovos=$(realpath "${KOVOS_BUILD_DIR:-build/release}/bin/kovos")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# One core per rank: mpirun binds the processes, OpenMP must not move them.
export OMP_NUM_THREADS=1 OMP_PROC_BIND=false KOVOS_CACHE=$scratch/cache
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
"$kovos" scenes --out "$scratch/data" --count "$pictures" >/dev/null
run() {  # RANKS: seconds on standard output
  local begin end
  begin=$(date +%s.%N)
  mpirun -n "$1" --bind-to core "$kovos" evaluate --data "$scratch/data" --threads 1 --output "$scratch/$1.json" >/dev/null
  end=$(date +%s.%N)
  echo "$end $begin" | awk '{printf "%.3f\n", $1 - $2}'
}
median() { sort -n | awk '{a[NR] = $1} END {print (NR % 2 ? a[(NR + 1) / 2] : (a[NR / 2] + a[NR / 2 + 1]) / 2)}'; }

run 1 >/dev/null  # text features and weights are in their caches from here on
printf 'load average before: %s\n\n' "$(cut -d' ' -f1-3 /proc/loadavg)"
for _ in $(seq "$repetitions"); do
  run 1 >>"$scratch/one"
  run "$ranks" >>"$scratch/many"
done
cmp "$scratch/1.json" "$scratch/$ranks.json"
one=$(median <"$scratch/one") many=$(median <"$scratch/many")
printf '| pictures | 1 rank, s | %s ranks, s | ratio | all runs of 1 | all runs of %s |\n|---|---|---|---|---|---|\n' "$ranks" "$ranks"
printf '| %s | %s | %s | %s | %s | %s |\n' "$pictures" "$one" "$many" "$(echo "$one $many" | awk '{printf "%.2f", $1 / $2}')" \
  "$(paste -sd' ' "$scratch/one")" "$(paste -sd' ' "$scratch/many")"
