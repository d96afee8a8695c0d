#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the benchmarks, writes full-size weights from a seed, measures everything and prints the tables in Markdown.
#   bench/run.sh [quick]       quick: ViT-B/16 only, 20 and 150 classes, one repetition, no peers
# KOVOS_BENCH_DIR    scratch and records (default build/bench-records): 3 GB of weights, JSON of every figure
# KOVOS_BENCH_PYTHON a Python with NumPy, and PyTorch if it shall be measured (default: /usr/bin/python3, else python3)
# KOVOS_OPENBLAS     an OpenBLAS for PyTorch and the matrix products; otherwise the system's, if any
set -euo pipefail
cd "$(dirname "$0")/.."
quick=${1:-}
scratch=${KOVOS_BENCH_DIR:-build/bench-records}
build=${KOVOS_BUILD_DIR:-build/bench}
native=$build-native
python=${KOVOS_BENCH_PYTHON:-}
if [ -z "$python" ]; then
  python=python3
  for candidate in /usr/bin/python3 python3; do
    if "$candidate" -c 'import torch, numpy' 2>/dev/null; then python=$candidate; break; fi
  done
fi
mkdir -p "$scratch"
export OMP_PROC_BIND=false
KOVOS_BENCH_COMMIT=$(git rev-parse HEAD 2>/dev/null || echo unknown)
KOVOS_BENCH_TREE=$(if [ -z "$(git status --porcelain -- include bench CMakeLists.txt 2>/dev/null)" ]; then echo clean; else echo changed; fi)
export KOVOS_BENCH_COMMIT KOVOS_BENCH_TREE
say() { printf 'bench: %s\n' "$*" >&2; }

say "building in $build"
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DKOVOS_ENABLE_TESTS=OFF >"$scratch/build.log"
cmake --build "$build" -j "$(nproc)" --target kovos_peaks kovos_segment_bench kovos_load_bench >>"$scratch/build.log"
# Eigen chooses its instruction set when it is compiled (and g++ 12 warns about its own intrinsics).
say "building the matrix products for this machine in $native"
cmake -S . -B "$native" -G Ninja -DCMAKE_BUILD_TYPE=Release -DKOVOS_NATIVE=ON -DKOVOS_WARNINGS_AS_ERRORS=OFF -DCMAKE_CXX_FLAGS=-w \
  -DKOVOS_ENABLE_TESTS=OFF -DKOVOS_ENABLE_EXAMPLES=OFF >>"$scratch/build.log"
cmake --build "$native" -j "$(nproc)" --target kovos_gemm_bench >>"$scratch/build.log"

weights() {  # model format file
  [ -s "$scratch/$3" ] && return 0
  say "writing $3"
  "$python" tests/reference/write_full_size.py --model "$1" --format "$2" --output "$scratch/$3.part" >&2
  mv "$scratch/$3.part" "$scratch/$3"
}
weights vit_b16 safetensors cat_seg_b16.safetensors
files=("$scratch/cat_seg_b16.safetensors")
loads=("${files[@]}")
if [ -z "$quick" ]; then
  weights vit_l14_336 safetensors cat_seg_l14.safetensors
  files+=("$scratch/cat_seg_l14.safetensors")
fi
if "$python" -c 'import torch' 2>/dev/null; then
  weights vit_b16 pth cat_seg_b16.pth
  loads+=("$scratch/cat_seg_b16.pth")
fi
[ -z "$quick" ] && loads+=("$scratch/cat_seg_l14.safetensors")

printf '## Peaks of this machine\n\n'
"$build/bin/kovos_peaks" --json "$scratch/peaks.json"
peak=$("$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["peaks"]["fma_gflops"])' "$scratch/peaks.json")

printf '## Segmentation, stage by stage\n\n'
if [ -n "$quick" ]; then
  "$build/bin/kovos_segment_bench" "${files[@]}" --classes 20,150 --precision fp32 --repetitions 1 --peak "$peak" --json "$scratch/segment.json"
else
  "$build/bin/kovos_segment_bench" "${files[@]}" --peak "$peak" --json "$scratch/segment.json"
fi

printf '## Loading, and the cache of text embeddings\n\n'
"$build/bin/kovos_load_bench" "${loads[@]}" --scratch "$scratch" --json "$scratch/load.json"

printf '## Matrix products\n\n'
"$native/bin/kovos_gemm_bench" --json "$scratch/gemm.json"

printf '## Beside PyTorch\n\n'
if [ -z "$quick" ]; then
  "$python" bench/compare.py --bench "$build/bin/kovos_segment_bench" --weights "${files[0]}" --out "$scratch/compare" --peak "$peak" \
    --python "$python" ${KOVOS_OPENBLAS:+--blas "$KOVOS_OPENBLAS"}
else
  printf 'Left out: quick.\n'
fi

printf '\n## Compiling the ten-line program\n\n'
bench/compile_time.sh "$build"
say "records: $scratch/*.json"
