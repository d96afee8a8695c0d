#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The command-line tool as a user meets it: files, exit codes, sentences.   cli_test.sh KOVOS WORK_FOLDER REPOSITORY
set -uo pipefail
kovos=$1 work=$2 repository=$3
data=$repository/tests/data
images=$data/images
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
exists() { for f in "$@"; do [ -s "$f" ] || { failures=$((failures + 1)); echo "FAILED: $f is missing"; }; done; }
absent() { for f in "$@"; do [ ! -e "$f" ] || { failures=$((failures + 1)); echo "FAILED: $f should not be there"; }; done; }

cd "$work" || exit 1
rm -rf out pictures broken cache2 && mkdir -p pictures broken
segment() { "$kovos" segment --model demo.safetensors "$@"; }
small=(--window whole)

# A picture, a folder, standard input, a pattern.
expect 0 '' "$kovos" segment --model demo.safetensors --image "$images/rgb.png" --classes "sky,grass" --output out --scores
exists out/rgb.labels.png out/rgb.overlay.png out/rgb.json out/rgb.scores.npy
cp "$images/rgb.png" pictures/a.png; cp "$images/exif6.jpg" pictures/b.jpg; echo no > pictures/notes.txt
expect 0 '"name":"grass"' "$kovos" segment --model demo.safetensors --image pictures --classes "sky,grass" --output out "${small[@]}" --json
exists out/a.labels.png out/b.overlay.png
absent out/notes.json
"$kovos" segment --model demo.safetensors --image - --classes sky --output out "${small[@]}" < "$images/rgb.png" || failures=$((failures + 1))
exists out/stdin.labels.png
expect 0 '' "$kovos" segment --model demo.safetensors --image 'pictures/*.png' --classes sky --output out "${small[@]}"
expect 0 '' "$kovos" segment --model demo.safetensors --image pictures/a.png --classes voc20b --output out "${small[@]}" --json
grep -q '"background"' out/a.json || { failures=$((failures + 1)); echo "FAILED: voc20b has no background"; }
expect 0 '"threshold":1.0' "$kovos" segment --model demo.safetensors --image pictures/a.png --classes sky,tree --output out "${small[@]}" --unknown 1 --json
expect 0 '' "$kovos" segment --model demo.safetensors --image pictures/a.png --classes sky,tree --output out --precision bf16 --threads 1 "${small[@]}"
expect 0 '' "$kovos" segment --model demo.safetensors --image pictures/a.png --classes ade847 --output out "${small[@]}"
expect 0 '' "$kovos" segment --model demo.safetensors --image pictures/a.png --classes ade847 --output out "${small[@]}" --most-decoded 3 --layers 1
expect 1 'the model has 2' "$kovos" segment --model demo.safetensors --image pictures/a.png --classes sky --output out "${small[@]}" --layers 3
printf '# mine\nsky = sky, heaven\ngrass\n' > words.txt
expect 0 '"name":"sky"' "$kovos" segment --model demo.safetensors --image pictures/a.png --classes words.txt --output out "${small[@]}" --json

# What it would cost, what it did cost, and when what was done.
expect 0 'spatial aggregation' "$kovos" plan --model demo.safetensors --classes 5 --size 64x48
expect 0 'floor %' "$kovos" plan --model demo.safetensors --classes 5 --size 64x48 --window whole --runs 1
expect 0 'floor %' "$kovos" plan --model demo.safetensors --classes 5 --size 64x48 --window whole --runs 1 --most-classes 4 --most-decoded 2 --layers 1
expect 1 'the model has 2' "$kovos" plan --model demo.safetensors --layers 3
expect 2 'most-decoded' "$kovos" plan --model demo.safetensors --most-decoded -1
expect 2 'WIDTHxHEIGHT' "$kovos" plan --model demo.safetensors --size 64
expect 2 'at least one class' "$kovos" plan --model demo.safetensors --classes 0
expect 0 '' "$kovos" segment --model demo.safetensors --image pictures/a.png --classes sky --output out "${small[@]}" --profile out/trace.json
grep -q '"name":"kovos::decoder","ph":"B"' out/trace.json || { failures=$((failures + 1)); echo "FAILED: no decoder in the trace"; }

# One bad picture: the others are done, exit 1.
head -c 100 "$images/rgb.png" > broken/cut.png; cp "$images/rgb.png" broken/good.png
expect 1 'damaged PNG' "$kovos" segment --model demo.safetensors --image broken --classes sky --output out "${small[@]}"
exists out/good.json
absent out/cut.json out/cut.labels.png out/cut.overlay.png
expect 1 'missing.png' "$kovos" segment --model demo.safetensors --image missing.png --classes sky --output out "${small[@]}"

# Bad usage: exit 2.
expect 2 '--image is required' "$kovos" segment --classes sky --output out
expect 2 'window' "$kovos" segment --model demo.safetensors --image "$images/rgb.png" --classes sky --output out --window round
expect 2 'nothing matches' "$kovos" segment --model demo.safetensors --image 'none/*.png' --classes sky --output out
expect 2 'is not in this build' "$kovos" segment --model demo.safetensors --image pictures --classes sky --output out --device abacus
expect 2 'must end with .safetensors' "$kovos" convert demo.safetensors demo.txt
expect 2 '' "$kovos"

# Bad input: one sentence, exit 1, nothing written.
rm -rf none
for arguments in "--classes sky,,tree" "--classes Sky,sky" "--classes missing.txt" "--classes $work/empty.txt"; do
  : > empty.txt
  # shellcheck disable=SC2086
  expect 1 'kovos: ' "$kovos" segment --model demo.safetensors --image pictures $arguments --output none
done
absent none
expect 1 'does not exist' "$kovos" segment --model missing.safetensors --image pictures --classes sky --output none
expect 1 'directory' "$kovos" segment --model "$work" --image pictures --classes sky --output none
head -c 5000 demo.safetensors > cut.safetensors; cp merges.txt cut_merges.txt
expect 1 'cut.safetensors' "$kovos" segment --model cut.safetensors --image pictures --classes sky --output none
expect 1 'not CAT-Seg or CLIP' "$kovos" segment --model "$data/checkpoints/tiny_expected.safetensors" --image pictures --classes sky --output none
expect 1 'cannot segment' "$kovos" segment --model "$data/checkpoints/tiny_clip.safetensors" --image pictures --classes sky --output none
expect 1 'no preset has this geometry' "$kovos" segment --model "$data/checkpoints/tiny.safetensors" --image pictures --classes sky --output none
mkdir -p lonely && cp demo.safetensors lonely/
expect 1 "no CLIP vocabulary found" "$kovos" segment --model lonely/demo.safetensors --image pictures --classes sky --output none
expect 0 '' "$kovos" segment --model lonely/demo.safetensors --vocabulary merges.txt --image pictures/a.png --classes sky --output out "${small[@]}"
expect 1 'the model reads at most 77' "$kovos" segment --model demo.safetensors --image pictures --classes "$(printf '1%.0s' {1..90})" --output none
absent none
echo blocked > blocked
expect 1 'output folder' "$kovos" segment --model demo.safetensors --image pictures/a.png --classes sky --output blocked

# Without --model the embedded one, first from $KOVOS_HOME.
rm -rf home none && mkdir home
default() { KOVOS_HOME=$work/home "$kovos" segment --image pictures/a.png --classes sky "${small[@]}" "$@"; }
if [ -e "$repository/weights/cat_seg_scenes.safetensors" ]; then
  expect 0 '"name":"sky"' default --output out --json
else
  expect 1 "the default model is not there; name a checkpoint, or set KOVOS_HOME" default --output none
  expect 1 "$work/home/cat_seg_scenes.safetensors" default --output none
fi
head -c 5000 demo.safetensors > home/cat_seg_scenes.safetensors
expect 1 "$work/home/cat_seg_scenes.safetensors" default --output none
absent none
cp demo.safetensors merges.txt home/ && mv home/demo.safetensors home/cat_seg_scenes.safetensors
expect 0 '"name":"sky"' default --output out --json

# Looking at weights.
expect 0 'preset        cat_seg_tiny' "$kovos" inspect demo.safetensors
expect 0 '0 missing' "$kovos" inspect demo.safetensors
expect 1 'preset        none' "$kovos" inspect "$data/checkpoints/tiny_zip.pth"
expect 1 'torchscript' "$kovos" inspect "$data/checkpoints/tiny_openai.pt"
expect 1 'unknown' "$kovos" inspect "$data/checkpoints/tiny_expected.safetensors"
expect 0 '' "$kovos" convert "$data/checkpoints/tiny_zip.pth" converted.safetensors
exists converted.safetensors
expect 0 'engine' "$kovos" info
expect 0 '"backends"' "$kovos" info --json
expect 0 '0.1.0' "$kovos" --version
expect 0 '%  b' "$kovos" classify --model clip.safetensors --image pictures/a.png --classes a,b
expect 0 '"probability":1.0' "$kovos" classify --model clip.safetensors --image pictures/a.png --classes a --json --templates imagenet
expect 0 'preset        clip_tiny' "$kovos" inspect clip.safetensors
expect 2 'CAT-Seg checkpoint' "$kovos" classify --model demo.safetensors --image pictures/a.png --classes a,b

# Two runs give the same labels; the text cache is used and may be deleted.
cp out/rgb.labels.png first.png
expect 0 '' "$kovos" segment --model demo.safetensors --image "$images/rgb.png" --classes "sky,grass" --output out
cmp -s first.png out/rgb.labels.png || { failures=$((failures + 1)); echo "FAILED: a second run gave other labels"; }

# So are the packed weights: written by the first run, left alone by the next, and nowhere if there is no folder for them.
if [ -n "${KOVOS_CACHE:-}" ]; then
  exists "$KOVOS_CACHE"/packed-*.safetensors
  touch marker
  expect 0 '' "$kovos" segment --model demo.safetensors --image "$images/rgb.png" --classes "sky,grass" --output out
  cmp -s first.png out/rgb.labels.png || { failures=$((failures + 1)); echo "FAILED: packed weights gave other labels"; }
  [ -z "$(find "$KOVOS_CACHE" -newer marker -name 'packed-*')" ] || { failures=$((failures + 1)); echo "FAILED: packed weights were written again"; }
fi
KOVOS_CACHE=/dev/null expect 0 '' "$kovos" segment --model demo.safetensors --image "$images/rgb.png" --classes "sky,grass" --output out
cmp -s first.png out/rgb.labels.png || { failures=$((failures + 1)); echo "FAILED: without a cache the labels are others"; }

if ls out/*.tmp* none 2>/dev/null | grep -q .; then failures=$((failures + 1)); echo "FAILED: leftovers"; fi
echo "$failures failures"
[ $failures -eq 0 ]
