#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes weights/cat_seg_scenes.safetensors again: a CLIP from captions, then CAT-Seg on top of it, then the scores.
# What is there already is not repeated; a run that was stopped goes on where it was.
#   weights/train.sh [OUTPUT]         default build/default_model
#   KOVOS_BUILD_DIR, KOVOS_JOBS, CXX  as in scripts/demo.sh
set -euo pipefail
cd "$(dirname "$0")/.."
output=${1:-build/default_model}
build=${KOVOS_BUILD_DIR:-build/release}
export OMP_PROC_BIND=${OMP_PROC_BIND:-false}
if [ ! -e "$build/build.ninja" ]; then
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER="${CXX:-g++}" >/dev/null
fi
cmake --build "$build" -j "${KOVOS_JOBS:-$(nproc)}" --target kovos_tool
kovos=$build/bin/kovos
run() {  # name, flags
  local folder=$output/$1 resume=()
  shift
  [ ! -e "$folder/model.safetensors" ] || return 0
  [ ! -e "$folder/checkpoint.safetensors" ] || resume=(--resume)
  "$kovos" train --output "$folder" "${resume[@]}" "$@"
}
started=$SECONDS
run clip_96 --config weights/clip_96.json
run clip_144 --config weights/clip_144.json --set "initial=$output/clip_96/model.safetensors"
run cat_seg_144 --config weights/cat_seg_144.json --set "initial=$output/clip_144/model.safetensors" --bf16-model
run cat_seg_144_restart --config weights/cat_seg_144_restart.json --set "initial=$output/cat_seg_144/model.safetensors" --bf16-model
run cat_seg_192 --config weights/cat_seg_192.json --set "initial=$output/cat_seg_144_restart/model.safetensors" --bf16-model
echo "train: $(((SECONDS - started) / 60)) minutes"
# A step with CLIP frozen puts a pre-trained one into a file that evaluate takes.
for clip in clip_96 clip_144; do  # at 192 pixels, as the default
  run "raw_$clip" --config weights/cat_seg_192.json \
    --set "initial=$output/$clip/model.safetensors" fine_tuning=frozen steps=1 batch_size=1 validation_pictures=1
done
echo "train: benchmark"
"$kovos" evaluate --model "$output/cat_seg_192/model.safetensors"
for clip in clip_96 clip_144; do
  echo "train: benchmark, raw cost volume of $clip"
  "$kovos" evaluate --model "$output/raw_$clip/model.safetensors" --raw-cost-volume
done
echo "train: weights  $output/cat_seg_192/model.safetensors"
