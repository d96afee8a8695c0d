#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The experiment of docs/claims.md: pre-trains the small CLIP if it is not there, then trains and scores every variant
# and prints the table. Runs that are in OUTPUT/claims.json already are not repeated, so it can be stopped at any time.
#   bench/claims/run.sh [OPTIONS OF kovos_claims]     e.g. --steps 300 --seeds 3
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${KOVOS_BUILD_DIR:-build/bench}
output=${KOVOS_CLAIMS_OUTPUT:-build/claims}
clip=${KOVOS_CLIP:-build/default_model/clip_96/model.safetensors}
export OMP_PROC_BIND=${OMP_PROC_BIND:-false}
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DKOVOS_ENABLE_BENCHMARKS=ON -DKOVOS_ENABLE_TESTS=OFF >/dev/null
cmake --build "$build" --target kovos_tool kovos_claims
if [ ! -e "$clip" ]; then
  "$build/bin/kovos" train --config weights/clip_96.json --output "$(dirname "$clip")"
fi
"$build/bin/kovos_claims" --clip "$clip" --output "$output" "$@"
