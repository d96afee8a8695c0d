#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kovos evaluate on small data in the layouts of docs/evaluation.md, against scores worked out in Python.
#
#     evaluation_test.sh KOVOS FOLDER [LAYOUT...]     LAYOUT as `make_benchmarks.py --list` prints them; all if none
set -u
kovos=$1
work=$2
shift 2
make="$(dirname "$0")/make_benchmarks.py"
[ $# -gt 0 ] || set -- $(python3 "$make" --list)
rm -rf "$work"
mkdir -p "$work"
failures=0
fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

# same SCORES EXPECTED: the numbers of the evaluation beside those of Python.
same() {
  python3 - "$1" "$2" <<'PYTHON'
import json, sys
scores, expected = (json.load(open(name)) for name in sys.argv[1:3])
got = {**scores, **scores["all"]}
wrong = [f"{name} {got[name]}, expected {value}" for name, value in expected.items() if not abs(got[name] - value) < 1e-9]
sys.exit("; ".join(wrong) if wrong else 0)
PYTHON
}

for layout in "$@"; do
  benchmark=${layout%%-*}
  folder=$work/$layout
  python3 "$make" "$folder" "$layout" || { fail "$layout could not be made"; continue; }
  for data in option variable; do
    if [ $data = option ]; then
      "$kovos" evaluate --benchmark "$benchmark" --data "$folder/data" --predictions "$folder/predictions" \
        --output "$folder/scores.json" >"$folder/out" 2>"$folder/err"
    else
      DETECTRON2_DATASETS=$folder/data "$kovos" evaluate --benchmark "$benchmark" --predictions "$folder/predictions" \
        --output "$folder/scores.json" >"$folder/out" 2>"$folder/err"
    fi || { fail "$layout ($data): $(cat "$folder/err")"; continue; }
    [[ $benchmark = mess_* ]] || grep -q "pictures with labels here: 2, in the benchmark $benchmark: [1-9]" "$folder/err" ||
      fail "$layout ($data) does not say that it is not all there"
    message=$(same "$folder/scores.json" "$folder/expected.json" 2>&1) || fail "$layout ($data): $message"
    rm -f "$folder/scores.json"
  done
done

# Predictions under the names that `kovos segment` gives them, which are those of the pictures' files.
for named in cityscapes-labelIds:_leftImg8bit mess_cwfid-prepared:_image mess_dark_zurich-prepared:_rgb_anon; do
  layout=${named%%:*} folder=$work/${named%%:*}
  [ -d "$folder" ] || continue
  mkdir "$folder/segmented"
  for file in "$folder"/predictions/*.png; do
    cp "$file" "$folder/segmented/$(basename "$file" .png)${named##*:}.labels.png"
  done
  "$kovos" evaluate --benchmark "${layout%%-*}" --data "$folder/data" --predictions "$folder/segmented" \
    --output "$folder/scores.json" >"$folder/out" 2>"$folder/err" || fail "$named: $(cat "$folder/err")"
  message=$(same "$folder/scores.json" "$folder/expected.json" 2>&1) || fail "$named: $message"
done

# refuses SENTENCE ARGUMENTS...: exit code and message.
refuses() {
  local sentence=$1
  shift
  "$kovos" evaluate "$@" >"$work/out" 2>"$work/err" && fail "'$*' was accepted"
  grep -qF "$sentence" "$work/err" || fail "'$*' does not say '$sentence': $(cat "$work/err")"
}

# A benchmark that is half there.
if [ -d "$work/pc459-published" ]; then
  context=$work/pc459-published/data/VOCdevkit/VOC2010
  rm "$context/trainval/2008_000003.mat"
  refuses "2008_000003.mat' of the 2 pictures in " --benchmark pc459 --data "$work/pc459-published/data" \
    --predictions "$work/pc459-published/predictions"
  rm "$context/pascalcontext_val.txt"
  refuses "pascalcontext_val.txt' is missing" --benchmark pc459 --data "$context" \
    --predictions "$work/pc459-published/predictions"
fi
if [ -d "$work/pc59-published" ]; then
  file=$work/pc59-published/data/VOCdevkit/VOC2010/trainval_merged.json
  head -c 300 "$file" >"$file.cut" && mv "$file.cut" "$file"
  refuses "is damaged JSON at byte 301: download it again" --benchmark pc59 --data "$work/pc59-published/data" \
    --predictions "$work/pc59-published/predictions"
fi
if [ -d "$work/ade847-published" ]; then
  # One label file that is cut in the middle: the others are scored if that is asked for.
  folder=$work/ade847-published
  file=$folder/data/ADE20K_2021_17_01/images/ADE/validation/urban/street/ADE_val_00000001_seg.png
  head -c 100 "$file" >"$file.cut" && mv "$file.cut" "$file"
  refuses "ADE_val_00000001_seg.png: damaged PNG" --benchmark ade847 --data "$folder/data" \
    --predictions "$folder/predictions"
  "$kovos" evaluate --benchmark ade847 --data "$folder/data" --predictions "$folder/predictions" --skip-unreadable \
    >"$work/out" 2>"$work/err" || fail "--skip-unreadable: $(cat "$work/err")"
  grep -qF "1 of 2 pictures could not be read" "$work/err" || fail "--skip-unreadable says nothing: $(cat "$work/err")"
fi

[ $failures = 0 ] || exit 1
echo "all evaluation tests passed: $*"
