#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `kovos evaluate` on folders whose class lists, layouts and files are not the plainest.
#   folders_test.sh KOVOS DEMO_MODEL WORK_FOLDER SOURCE_FOLDER
set -uo pipefail
kovos=$(realpath "$1") model=$(realpath "$2") work=$3 source_folder=$(realpath "$4")
failures=0
unset KOVOS_HOME RANK WORLD_SIZE ${!SLURM_*}
export OMP_NUM_THREADS=1

fail() { failures=$((failures + 1)); printf 'FAILED: %s\n' "$*"; }
expect() {  # CODE SENTENCE COMMAND...
  local code=$1 sentence=$2 out status
  shift 2
  out=$("$@" 2>&1 </dev/null)
  status=$?
  if [ $status -ne "$code" ] || [[ $out != *"$sentence"* ]]; then
    fail "$(printf '%s\n  exit %s, expected %s; expected to read: %s\n  said: %s' "$*" $status "$code" "$sentence" "${out:0:900}")"
  fi
}
silent() {  # SENTENCE COMMAND...: succeeds without that sentence
  local out
  out=$("${@:2}" 2>&1 </dev/null) || fail "${*:2}: $out"
  [[ $out != *"$1"* ]] || fail "${*:2} says '$1'"
}
rm -rf "$work" && mkdir -p "$work" && cd "$work" || exit 1
"$kovos" scenes --out data --count 6 --side 48 >/dev/null || exit 1
sed 's/ *=.*//' data/classes.txt >names.txt && cp names.txt data/classes.txt
score() { "$kovos" evaluate --model "$model" --data data --threads 1 --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["all"])'; }

# One meaning of a class list: names, codes with words, synonyms behind a comma, as text and as JSON.
plain=$(score)
awk '{ printf "c%02d = %s\n", NR, $0 }' names.txt >data/classes.txt
[ "$(score)" = "$plain" ] || fail "codes with words: $(score), not $plain"
grep -q '"c03"' <("$kovos" evaluate --data data --predictions data/annotations --json) || fail "codes do not name the classes"
sed 's/$/, something else/' names.txt >data/classes.txt
[ "$(score)" = "$plain" ] || fail "synonyms: $(score), not $plain"
python3 -c 'import json,sys; print(json.dumps([line.strip() for line in sys.stdin if line.strip()]))' <data/classes.txt >classes.json
cp classes.json data/classes.txt
[ "$(score)" = "$plain" ] || fail "JSON: $(score), not $plain"
cp names.txt data/classes.txt

# Files that are not used are told, in the JSON too.
touch data/images/a.bmp data/images/b.webp
cp data/annotations/000000.png data/annotations/alone.png
expect 0 "left out 2 files of 'data/images', which are not of the formats that are read there: 1 .bmp, 1 .webp" \
  "$kovos" evaluate --data data --predictions data/annotations
expect 0 "left out 1 file of 'data/annotations', which is without a picture: 1 .png" \
  "$kovos" evaluate --data data --predictions data/annotations --json
rm data/images/a.bmp data/images/b.webp data/annotations/alone.png

# A turned picture and a label that is not turned.
mkdir -p turned/images turned/annotations
cp "$source_folder/tests/data/images/exif3.jpg" turned/images/
cp names.txt turned/classes.txt
python3 - "$source_folder" <<'PYTHON'
import struct, sys, zlib
data = open(sys.argv[1] + "/tests/data/images/exif1.png", "rb").read()
width, height = struct.unpack(">II", data[16:24])
chunk = lambda name, data: struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
open("turned/annotations/exif3.png", "wb").write(
    b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)) +
    chunk(b"IDAT", zlib.compress((b"\0" + b"\1" * width) * height)) + chunk(b"IEND", b""))
PYTHON
turned() { "$kovos" evaluate --data turned --predictions turned/annotations "$@"; }
expect 0 "1 of 1 pictures may be scored against labels that do not fit, the first: 'turned/images/exif3.jpg' is turned" turned
expect 0 '"doubtful": [' turned --json
silent 'labels that do not fit' turned --ignore-orientation

# Labels that count from 1 with 0 as a frame: ADE20K as published in a folder of another name.
python3 - <<'PYTHON'
import pathlib, struct, zlib
def png(path, rows, colour):
    chunk = lambda name, data: struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    width = len(rows[0]) // (3 if colour == 2 else 1)
    raw = b"".join(b"\0" + bytes(row) for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), 8, colour, 0, 0, 0)) +
                     chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))
for i in range(3):
    inside = [[0 if y in (0, 11) or x in (0, 11) else 1 + (x * 7 + y * 5 + i) % 140 for x in range(12)] for y in range(12)]
    png(pathlib.Path(f"raw/images/validation/{i}.png"), [[9] * 36] * 12, 2)
    png(pathlib.Path(f"raw/annotations/validation/{i}.png"), inside, 0)
    png(pathlib.Path(f"right/{i}.png"), [[value - 1 if value else 255 for value in row] for row in inside], 0)
PYTHON
raw() { "$kovos" evaluate --data raw --predictions right "$@"; }
expect 1 'If it is ADE20K as published, choose the layout ade20k (--layout ade20k)' raw
expect 0 '"mean_iou": 1.0' raw --layout ade20k --json
silent warning raw --layout ade20k
for i in $(seq 150); do echo "thing $i"; done >raw/classes.txt
expect 0 'warning: the labels in ' raw
expect 0 'in 3 of 3 labels looked at 0 is the frame, and none has 255. If so, choose the layout ade20k (--layout ade20k)' raw
expect 0 '"warning": "the labels in ' raw --json
expect 0 '"mean_iou": 1.0' raw --layout from_one --json
expect 2 '--layout ade: expected one of automatic, plain, from_one, ade20k, coco_stuff' raw --layout ade
sed -i 123q raw/classes.txt  # the largest value is 123
expect 1 'if 0 is none and the classes count from 1, choose the layout from_one (--layout from_one)' raw

# A benchmark that is half there, beside a folder that could be read as something else.
mkdir -p tree/cityscapes/leftImg8bit/val && cp -r data tree/mine
expect 1 "cityscapes/leftImg8bit/val' (there) and 'tree/cityscapes/gtFine/val' with *_gtFine_labelTrainIds.png (missing)" \
  "$kovos" evaluate --benchmark cityscapes --data tree --predictions right
expect 1 "ADEChallengeData2016/images/validation' (missing)" \
  "$kovos" evaluate --benchmark ade150 --data tree --predictions right

[ $failures -eq 0 ] && echo "all checks passed" || exit 1
