#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kovos convert as a user meets it: what is written, what is said, exit codes.   convert_test.sh KOVOS WORK_FOLDER REPOSITORY
set -uo pipefail
kovos=$1 work=$2 files=$3/tests/data/checkpoints/torch
failures=0

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
absent() { [ ! -e "$1" ] || { failures=$((failures + 1)); echo "FAILED: $1 should not be there"; }; }

rm -rf "$work" && mkdir -p "$work" && cd "$work" || exit 1
expect 0 '3 tensors' "$kovos" convert "$files/buffers.pth" a.safetensors
expect 0 '7 tensors' "$kovos" convert "$files/negative.pth" a.safetensors
expect 0 '2 tensors' "$kovos" convert "$files/mmengine.pth" a.safetensors
expect 0 '2 tensors' "$kovos" convert "$files/deflated.pth" a.safetensors
expect 0 "names without 'module.'" "$kovos" convert "$files/averaged_model.pth" a.safetensors
expect 0 "not converted: 'model_ema'; give the file as $files/ema_beside.pth#model_ema" \
  "$kovos" convert "$files/ema_beside.pth" a.safetensors
expect 0 "not converted: 'model'" "$kovos" convert "$files/ema_beside.pth#model_ema" a.safetensors
expect 0 '2 tensors' "$kovos" convert "$files/dcp_one" a.safetensors
cp a.safetensors before.safetensors

# What would be lost is named, and nothing is written.
expect 1 "only inside 'state_dict_ema'" "$kovos" convert "$files/ema_only.pth" b.safetensors
expect 1 "'w' is a sparse tensor" "$kovos" convert "$files/sparse_coo.pth" b.safetensors
expect 1 "'w' has no values" "$kovos" convert "$files/meta.pth" b.safetensors
expect 1 "holds what the new file would lack:" "$kovos" convert "$files/complex.pth" b.safetensors
expect 1 "'z' has the element type complex64" "$kovos" convert "$files/complex.pth" b.safetensors
expect 1 "'more' is a group of tensors" "$kovos" convert "$files/groups.pth" b.safetensors
expect 1 "'z' has the dtype C64" "$kovos" convert "$files/complex.safetensors" b.safetensors
expect 1 'is one shard of a checkpoint of torch.distributed.checkpoint' "$kovos" convert "$files/dcp_one/__0_0.distcp" b.safetensors
absent b.safetensors
expect 1 "'w' is a sparse tensor" "$kovos" convert "$files/sparse_coo.pth" a.safetensors
cmp -s a.safetensors before.safetensors || { failures=$((failures + 1)); echo 'FAILED: a refused file changed the output'; }
expect 0 "'z' has the element type complex64" "$kovos" convert --leave-out "$files/complex.pth" b.safetensors
expect 0 '1 tensors' "$kovos" convert b.safetensors c.safetensors
expect 2 'must end with .safetensors' "$kovos" convert "$files/buffers.pth" c.pth

[ $failures -eq 0 ] && echo "convert: all as expected"
exit $((failures > 0))
