#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Which CLIP or CAT-Seg a file is: inspect, info, classify --activation.   clip_test.sh KOVOS WORK_FOLDER REPOSITORY
set -uo pipefail
kovos=$1 work=$2 repository=$3
data=$repository/tests/data/checkpoints
picture=$repository/tests/data/images/rgb.png
failures=0
unset KOVOS_HOME

# expect CODE SENTENCE COMMAND...: exit code, and a part of what is said on either stream.
expect() {
  local code=$1 sentence=$2 out status
  shift 2
  out=$("$@" 2>&1 </dev/null)
  status=$?
  if [ $status -ne "$code" ] || [[ $out != *"$sentence"* ]]; then
    failures=$((failures + 1))
    printf 'FAILED: %s\n  exit %s, expected %s; expected to read: %s\n  said: %s\n' "$*" $status "$code" "$sentence" "${out:0:600}"
  fi
}

cd "$work" || exit 1

# The shipped default is a preset.
expect 0 'preset        cat_seg_scenes' "$kovos" inspect "$repository/weights/cat_seg_scenes.safetensors"
expect 0 '"preset": "cat_seg_scenes"' "$kovos" inspect --json "$repository/weights/cat_seg_scenes.safetensors"

# What is not known is listed, with the reason.
expect 1 'clip_scores  x 1  [3] F32' "$kovos" inspect "$data/tiny_expected.safetensors"
expect 1 'text_model.encoder.layers.*.layer_norm1.bias  x 1  [8] F32' "$kovos" inspect "$data/tiny_hf.safetensors"
expect 1 'visual.transformer.resblocks.*.attn.in_proj_bias  x 3  [48] F32' "$kovos" inspect "$data/tiny_clip.safetensors"
expect 1 'no preset has this geometry' "$kovos" inspect "$data/tiny_hf.safetensors"
expect 1 '"reason": "nothing of these names is known"' "$kovos" inspect --json "$data/tiny_expected.safetensors"

# The activation: told by the file, or chosen; another one gives other numbers.
expect 0 'activation    quick_gelu, told by' "$kovos" inspect clip.safetensors
classify() { "$kovos" classify --model clip.safetensors --image "$picture" --classes a,b,sky,grass --json "$@"; }
expect 2 'activation' classify --activation tanh
told=$(classify) quick=$(classify --activation quick_gelu) exact=$(classify --activation gelu)
[ -n "$told" ] && [ "$told" = "$quick" ] && [ "$quick" != "$exact" ] || {
  failures=$((failures + 1))
  printf 'FAILED: activations\n  told: %s\n  quick_gelu: %s\n  gelu: %s\n' "$told" "$quick" "$exact"
}

# The machine: instructions for products of bf16 are named, or their absence.
expect 0 'bf16 products    ' "$kovos" info
expect 0 '"bf16_instruction_sets"' "$kovos" info --json
if grep -q avx512_bf16 /proc/cpuinfo 2>/dev/null && "$kovos" info | grep -q 'instruction sets.*avx512'; then
  expect 0 'avx512_bf16' "$kovos" info
fi

[ $failures -eq 0 ] && echo "all as expected" || exit 1
