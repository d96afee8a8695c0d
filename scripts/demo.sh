#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets up, builds the tool, segments a picture and says where the overlay is.
#   scripts/demo.sh [PICTURE [WORDS]]
#   KOVOS_MODEL, KOVOS_VOCABULARY   your own checkpoint and CLIP vocabulary
#   KOVOS_DEMO_OUTPUT, KOVOS_BUILD_DIR, KOVOS_JOBS, CXX   where to write and build, and how
set -euo pipefail
picture=${1:+$(realpath -m -- "$1")}
KOVOS_MODEL=${KOVOS_MODEL:+$(realpath -m -- "$KOVOS_MODEL")}
KOVOS_VOCABULARY=${KOVOS_VOCABULARY:+$(realpath -m -- "$KOVOS_VOCABULARY")}
cd "$(dirname "$0")/.."
build=${KOVOS_BUILD_DIR:-build/release}
jobs=${KOVOS_JOBS:-$(nproc)}
picture=${picture:-examples/data/demo.png}
words=${2:-sky,grass,house,tree,road,sun}
output=${KOVOS_DEMO_OUTPUT:-build/demo}
scripts/bootstrap.sh
if [ ! -e "$build/build.ninja" ]; then
  echo "demo: configuring $build"
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER="${CXX:-g++}" >/dev/null
fi
echo "demo: building the tool"
cmake --build "$build" -j "$jobs" --target kovos_tool kovos_example_make_demo_model
mkdir -p "$output"
vocabulary=()
if [ -n "$KOVOS_MODEL" ]; then
  model=$KOVOS_MODEL
  if [ -n "$KOVOS_VOCABULARY" ]; then vocabulary=(--vocabulary "$KOVOS_VOCABULARY"); fi
  echo "demo: using your weights, $model"
else
  model=$output/random.safetensors
  "$build/bin/make_demo_model" "$model" "$output/merges.txt"
  vocabulary=(--vocabulary "$output/merges.txt")
  echo "demo: NO TRAINED WEIGHTS are in this repository yet: $model is a small model with random numbers in it."
  echo "demo: the picture shows that everything runs; its colours mean nothing. Set KOVOS_MODEL to an official checkpoint"
  echo "demo: (weights/README.md) for a real result."
fi
"$build/bin/kovos" segment --model "$model" "${vocabulary[@]}" --image "$picture" --classes "$words" --output "$output"
stem=$(basename "$picture"); stem=${stem%.*}
echo "demo: weights  $model"
echo "demo: overlay  $output/$stem.overlay.png"
echo "demo: numbers  $output/$stem.json"
