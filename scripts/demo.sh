#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets up, builds the tool, draws a scene that the embedded model has never seen, segments it with words of which some
# were never trained, scores the result beside the exact mask, and says where the overlay is.
#   scripts/demo.sh [PICTURE WORDS]   your picture and words; needs KOVOS_MODEL to make sense
#   KOVOS_MODEL, KOVOS_VOCABULARY     your own checkpoint and CLIP vocabulary
#   KOVOS_DEMO_SCENE                  number of the benchmark scene, 0..199
#   KOVOS_DEMO_OUTPUT, KOVOS_BUILD_DIR, KOVOS_JOBS, CXX   where to write and build, and how
set -euo pipefail
picture=${1:+$(realpath -m -- "$1")}
words=${2:-}
KOVOS_MODEL=${KOVOS_MODEL:+$(realpath -m -- "$KOVOS_MODEL")}
KOVOS_VOCABULARY=${KOVOS_VOCABULARY:+$(realpath -m -- "$KOVOS_VOCABULARY")}
cd "$(dirname "$0")/.."
build=${KOVOS_BUILD_DIR:-build/demo-tool}
jobs=${KOVOS_JOBS:-$(nproc)}
output=${KOVOS_DEMO_OUTPUT:-build/demo}
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
scripts/bootstrap.sh
if [ ! -e "$build/build.ninja" ]; then
  echo "demo: configuring $build"
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER="${CXX:-g++}" -DKOVOS_TOOL_ALL=OFF \
    -DKOVOS_ENABLE_TESTS=OFF -DKOVOS_ENABLE_BENCHMARKS=OFF -DKOVOS_BUILD_INSTANCES=OFF >/dev/null
fi
echo "demo: building the tool with what this needs of it"
cmake --build "$build" -j "$jobs" --target kovos_tool
kovos=$build/bin/kovos
weights=()
if [ -n "$KOVOS_MODEL" ]; then weights=(--model "$KOVOS_MODEL"); fi
if [ -n "$KOVOS_VOCABULARY" ]; then weights+=(--vocabulary "$KOVOS_VOCABULARY"); fi
mkdir -p "$output"
if [ -n "$picture" ]; then
  "$kovos" segment "${weights[@]}" --image "$picture" --classes "${words:-sky,grass,house,tree,road,sun}" --output "$output"
  stem=$(basename "$picture"); stem=${stem%.*}
else
  scene=${KOVOS_DEMO_SCENE:-64}
  "$kovos" scenes --split benchmark --seed "$scene" --count 1 --side 384 --out "$output/scene" --force >/dev/null
  echo "demo: benchmark scene $scene: $(cut -f2 "$output/scene/captions.txt")"
  echo "demo: $(wc -l < "$output/scene/classes.txt") words, of which $(wc -l < "$output/scene/unseen.txt") stood in no picture of the segmentation training"
  "$kovos" segment "${weights[@]}" --image "$output/scene/images/000000.png" --classes "$output/scene/classes.txt" \
    --window whole --output "$output"
  echo "demo: against the exact mask:"
  "$kovos" evaluate "${weights[@]}" --data "$output/scene"
  stem=000000
fi
echo "demo: overlay  $output/$stem.overlay.png"
echo "demo: numbers  $output/$stem.json"
