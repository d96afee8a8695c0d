#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `kovos evaluate` and `kovos segment` on many ranks, killed, resumed and joined.
#   ranks_test.sh KOVOS DEMO_MODEL WORK_FOLDER REPOSITORY [MPIRUN]
set -uo pipefail
kovos=$(realpath "$1") model=$(realpath "$2") work=$3 repository=$4 mpirun=${5:-}
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
same() { cmp -s "$1" "$2" || fail "$1 and $2 differ"; }
exists() { for f in "$@"; do [ -s "$f" ] || fail "$f is missing"; done; }
absent() { for f in "$@"; do [ ! -e "$f" ] || fail "$f should not be there"; done; }
lines() { cat "$1"/*.jsonl 2>/dev/null | grep -c '"picture":'; }
count() { find "$1" -name "$2" | wc -l; }

rm -rf "$work" && mkdir -p "$work" && cd "$work" || exit 1
"$kovos" scenes --out data --count 24 --side 48 >/dev/null || exit 1
on() { "$kovos" evaluate --model "$model" --threads 1 --data "$@"; }  # FOLDER OPTIONS...
evaluate() { on data "$@"; }
segment() { "$kovos" segment --model "$model" --classes "sky,grass" --threads 1 --window whole "$@"; }

evaluate --output one.json >/dev/null || fail "one process alone"
grep -q '"pictures": 24' one.json || fail "one.json has not 24 pictures"
absent one.json.partial

# Label files that were made elsewhere: the labels themselves are perfect.
expect 0 '"mean_iou": 1.0' "$kovos" evaluate --data data --predictions data/annotations --json
segment --image data/images --output segs || fail "segment alone"
expect 0 '"pictures": 24' "$kovos" evaluate --data data --predictions segs --json
mkdir few && cp segs/000000.labels.png few/
expect 1 "no prediction for the picture '000001'" "$kovos" evaluate --data data --predictions few
expect 0 '23 of 24 pictures could not be read' "$kovos" evaluate --data data --predictions few --skip-unreadable

# Predictions of no class are left out as by detectron2, which is said; those beyond the list are refused; nothing scored
# is no success.
if python3 -c 'import zlib' 2>/dev/null; then
  python3 - <<'PYTHON'
import pathlib, struct, zlib
def png(path, rows):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0)) +
                     chunk(b"IDAT", zlib.compress(b"".join(b"\0" + bytes(row) for row in rows))) + chunk(b"IEND", b""))
truth = [[0, 0, 1, 1]] * 3 + [[255] * 4]
png("none/images/a.png", truth)
png("none/annotations/a.png", truth)
png("none/predictions/a.png", [[0, 255, 1, 1], [0, 0, 1, 255], [0, 0, 1, 255], [255, 0, 1, 255]])
png("none/beyond/a.png", [[0, 0, 1, 1], [0, 2, 1, 1], [0] * 4, [0] * 4])
pathlib.Path("none/classes.txt").write_text("sky\ngrass\n")
PYTHON
  none() { "$kovos" evaluate --data none --predictions "$@"; }
  expect 0 '"predicted_no_class": 0.25,' none none/predictions --json
  expect 0 '"mean_iou": 1.0,' none none/predictions --json
  expect 0 'warning: 25.00 % of the labelled pixels have no class in the predictions: they are left out' none none/predictions
  # 5 of 6 and 4 of 6 pixels
  expect 0 '"mean_iou": 0.75,' none none/predictions --json --outside-predictions count_as_wrong
  expect 1 "beyond/a.png' has the value 2 at row 1, column 1, expected 0 to 1 or 255 for none" none none/beyond
  expect 1 'no picture was scored' none none/beyond --skip-unreadable
fi
expect 2 "--predictions 'nowhere' is no folder" "$kovos" evaluate --data data --predictions nowhere
expect 2 "--output 'few' is a folder" evaluate --output few
expect 1 "the folder 'one.json/parts' for partial results cannot be made" evaluate --partial one.json/parts

# Shares told by the environment, and their join; the order of the files does not matter.
shares() { env RANK="$1" WORLD_SIZE=3 "$kovos" evaluate --model "$model" --data data --threads 1 "${@:2}"; }
expect 2 'name a folder for their results with --partial' shares 0
for rank in 2 0 1; do expect 0 "rank $rank of 3 is done" shares $rank --partial parts; done
expect 0 'mIoU' "$kovos" evaluate --merge parts --output merged.json
same one.json merged.json
expect 0 'mIoU' "$kovos" evaluate --merge parts/rank-1.jsonl parts/rank-2.jsonl parts/rank-0.jsonl --output merged2.json
same one.json merged2.json
expect 2 'add --resume' shares 1 --partial parts
expect 0 'rank 1 of 3 is done' shares 1 --partial parts --resume
[ "$(lines parts)" -eq 24 ] || fail "pictures were scored twice"
# Other data of the same names.
cp -r data data-2 && cp data/annotations/000002.png data-2/annotations/000001.png && cp data/images/000002.png data-2/images/000001.png
cp -r parts parts-2
expect 1 "the result of '000001' in 'parts-2' is of a picture or label of another size" env RANK=1 WORLD_SIZE=3 \
  "$kovos" evaluate --model "$model" --data data-2 --threads 1 --partial parts-2 --resume
expect 1 '8 of 24 pictures have no result yet' "$kovos" evaluate --merge parts/rank-0.jsonl parts/rank-1.jsonl
expect 0 'mIoU' env RANK=1 WORLD_SIZE=3 "$kovos" evaluate --model "$model" --data data --threads 1 --alone
array() { env SLURM_ARRAY_TASK_ID="$1" SLURM_ARRAY_TASK_COUNT=2 SLURM_ARRAY_TASK_MIN=1 SLURM_PROCID=0 SLURM_NTASKS=1 "$kovos" \
  evaluate --model "$model" --data data --threads 1 --partial array; }
expect 0 'rank 0 of 2 is done' array 1
expect 0 'rank 1 of 2 is done' array 2
expect 0 '' "$kovos" evaluate --merge array --output array.json
same one.json array.json
expect 1 'RANK is' env RANK=x WORLD_SIZE=2 "$kovos" evaluate --data data
expect 1 'rank 2 of 2' env RANK=2 WORLD_SIZE=2 "$kovos" evaluate --data data

# Boundaries are counted in the same way; a label file that is the ground truth is right on all of them.
expect 0 'boundary IoU, mean 100.00' "$kovos" evaluate --data data --predictions data/annotations --boundary-iou
evaluate --boundary-iou --output boundary.json >/dev/null || fail "boundary IoU"
grep -q '"share_of_diagonal": 0.02' boundary.json || fail "boundary.json has no boundaries"
for rank in 0 1 2; do expect 0 "rank $rank of 3 is done" shares $rank --partial boundaries --boundary-iou; done
expect 0 'boundary IoU, mean' "$kovos" evaluate --merge boundaries --output boundary2.json
same boundary.json boundary2.json
expect 1 "'boundary IoU' is" "$kovos" evaluate --merge parts boundaries

# The same picture twice counts once, another result for it is refused, and so is another run.
cp parts/rank-0.jsonl twice.jsonl
expect 0 '' "$kovos" evaluate --merge parts twice.jsonl --output twice.json
same one.json twice.json
python3 - <<'PYTHON'
import json
lines = open("parts/rank-0.jsonl").read().splitlines()
picture = json.loads(lines[1])
picture["cells"][2] += 1
open("altered.jsonl", "w").write("\n".join([lines[0], json.dumps(picture)] + lines[2:]) + "\n")
PYTHON
expect 1 'has another result for picture 0' "$kovos" evaluate --merge parts altered.jsonl
evaluate --window sliding --pictures 1 --partial slid >/dev/null
expect 1 "'window' is 'whole' in the first and 'sliding' in the second" "$kovos" evaluate --merge slid parts
evaluate --pictures 1 --partial fewer >/dev/null
expect 1 'the number of pictures is' "$kovos" evaluate --merge parts fewer
expect 1 "'window' is" evaluate --window sliding --partial parts --resume
# Cut lines are as if never written; damage is named.
head -c -5 parts/rank-0.jsonl > cut.jsonl
expect 1 '1 of 24 pictures have no result' "$kovos" evaluate --merge cut.jsonl parts/rank-1.jsonl parts/rank-2.jsonl
sed '3s/cells/sells/' parts/rank-0.jsonl > damaged.jsonl
expect 1 "'damaged.jsonl' line 3 is damaged" "$kovos" evaluate --merge damaged.jsonl
expect 1 'is no file of partial results' "$kovos" evaluate --merge one.json
mkdir nothing && expect 1 'holds no partial results' "$kovos" evaluate --merge nothing
expect 1 "'gone.jsonl' does not exist" "$kovos" evaluate --merge gone.jsonl
expect 2 '--resume needs' evaluate --resume

# A label in the middle that cannot be read: what was scored stays, and after the repair the rest is done.
cp -r data broken && head -c 60 data/annotations/000013.png > broken/annotations/000013.png
expect 1 'annotations/000013.png' on broken --output broken.json
expect 1 '13 of 24 pictures are in' on broken --output broken.json --resume
expect 0 '1 of 24 pictures could not be read' on broken --output broken.json --resume --skip-unreadable
grep -q '"name": "000013"' broken.json || fail "broken.json does not name the picture"
expect 1 'annotations/000013.png' on broken --output mended.json
cp data/annotations/000013.png broken/annotations/
expect 0 '' on broken --output mended.json --resume
sed 's/"broken"/"data"/' mended.json | cmp -s - one.json || fail "the mended run has other scores"
absent mended.json.partial

# Killed in the middle, in one process. Sliding windows take longer.
evaluate --window sliding --output sliding.json >/dev/null
"$kovos" evaluate --model "$model" --data data --threads 1 --window sliding --partial killed >/dev/null & process=$!
for _ in $(seq 3000); do [ "$(lines killed)" -ge 3 ] && break; sleep 0.01; done
kill -9 $process 2>/dev/null || fail "the process ended before it was killed"
wait $process 2>/dev/null
[ "$(lines killed)" -lt 24 ] || fail "nothing was left to do"
expect 0 '' evaluate --window sliding --partial killed --resume --output killed.json
same sliding.json killed.json

# Files of other formats among the pictures are counted.
cp -r data mixed && cp data/images/000000.png mixed/images/a.webp && cp data/images/000000.png mixed/images/b.BMP
expect 0 "left out 2 files of 'mixed/images', which are not of the formats that are read there: 1 .bmp, 1 .webp" \
  on mixed --output mixed.json
grep -q '1 .bmp, 1 .webp' mixed.json || fail "mixed.json does not tell what was left out"
expect 0 '{"left_out":["left out 2 files' segment --image mixed/images --output mixed_segs --json

# One set of results per picture, whatever the names.
mkdir -p s1 s2 s3
for f in s1/img.png s1/img-2.png s2/img.png s2/img-2.png s3/img.png s3/img-3.png; do cp data/images/000000.png $f; done
expect 0 '' segment --image s1 s2 s3 --output apart
[ "$(count apart '*.json')" -eq 6 ] || fail "six pictures have $(count apart '*.json') results: $(ls apart)"
[ "$(grep -ho '"image": "[^"]*"' apart/*.json | sort -u | wc -l)" -eq 6 ] || fail "not every picture has its results"
expect 0 '' segment --image s1/img.png s1/img.png s1/img-2.png --output apart2
[ "$(count apart2 '*.json')" -eq 3 ] || fail "a picture named twice: $(ls apart2)"
mkdir own && cp data/images/000000.png own/a.png && cp data/images/000001.png own/a.labels.png
expect 2 "would replace the picture 'a.labels.png'" segment --image own --output own
same own/a.labels.png data/images/000001.png

# Segmentation goes on where it stopped, and only with the same options.
rm segs/000005.json segs/000007.overlay.png && touch marker && sleep 0.05
expect 0 '' segment --image data/images --output segs --resume
[ "$(find segs -name '*.json' -newer marker | wc -l)" -eq 2 ] || fail "--resume segmented other pictures than the two"
exists segs/000005.json segs/000007.overlay.png
touch marker && sleep 0.05
expect 0 '' segment --image data/images --output segs --resume --unknown 0.1
[ "$(find segs -name '*.json' -newer marker | wc -l)" -eq 24 ] || fail "--resume took results of other options"
for rank in 0 1; do
  expect 0 "rank $rank of 2" env RANK=$rank WORLD_SIZE=2 "$kovos" segment --model "$model" --classes "sky,grass" --threads 1 \
    --window whole --image data/images s1 s2 --output segs2
done
[ "$(count segs2 '*.json')" -eq 28 ] || fail "two ranks wrote $(count segs2 '*.json') of 28 results"

# MPI is loaded only where a launcher started the process, and told where it cannot be.
LD_DEBUG=libs "$kovos" evaluate --merge parts 2>&1 >/dev/null | grep -q libmpi && fail "MPI is loaded without mpirun"
mkdir -p bare/bin bare/lib/kovos && cp "$kovos" bare/bin/
launched() { env OMPI_COMM_WORLD_SIZE=2 bare/bin/kovos evaluate --model "$model" --data data --threads 1 "$@"; }
expect 1 'this build of kovos has no MPI' launched
expect 0 'mIoU' launched --alone
echo 'no library' > bare/lib/kovos/kovos_mpi.so
expect 1 'MPI cannot be loaded' launched

if [ -z "$mpirun" ]; then
  echo "not tested: MPI (this build has none)"
else
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  mpi() { "$mpirun" --oversubscribe --bind-to none -n "$1" "$kovos" "${@:2}"; }
  scored=(evaluate --model "$model" --data data --threads 1)
  for ranks in 2 4; do
    mpi $ranks "${scored[@]}" --output mpi$ranks.json >/dev/null 2>&1 || fail "$ranks ranks"
    same one.json mpi$ranks.json
    absent mpi$ranks.json.partial
  done
  expect 0 'mIoU' mpi 2 "${scored[@]}"
  mpi 3 "${scored[@]}" --partial mpi_parts >/dev/null 2>&1
  [ "$(lines mpi_parts)" -eq 24 ] || fail "three ranks scored $(lines mpi_parts) of 24 pictures"
  [ "$(count mpi_parts '*.jsonl')" -eq 3 ] || fail "three ranks wrote $(count mpi_parts '*.jsonl') files"

  # One of two ranks is killed; the others may end, but no result is lost.
  "$mpirun" --oversubscribe --bind-to none -n 2 "$kovos" "${scored[@]}" --window sliding --partial mpi_killed \
    >/dev/null 2>&1 & process=$!
  for _ in $(seq 3000); do [ "$(lines mpi_killed)" -ge 3 ] && break; sleep 0.01; done
  victim=$(pgrep -P $process | tail -n 1)
  kill -9 "$victim" 2>/dev/null || fail "no rank could be killed"
  wait $process 2>/dev/null && fail "mpirun did not notice that a rank died"
  left=$(lines mpi_killed)
  { [ "$left" -ge 3 ] && [ "$left" -lt 24 ]; } || fail "$left of 24 results are left by the killed run"
  expect 0 'mIoU' mpi 4 "${scored[@]}" --window sliding --partial mpi_killed --resume --output mpi_killed.json
  same sliding.json mpi_killed.json
  echo "killed a rank after $left of 24 pictures"

  # What is wrong is said once, and ranks that see other files are refused.
  said=$(mpi 2 evaluate --model "$model" --data nowhere 2>&1 | grep -c "is not a folder")
  [ "$said" -eq 1 ] || fail "a missing folder is told $said times"
  cp -r data other && rm other/images/000003.png
  expect 1 'cannot be added' "$mpirun" --oversubscribe --bind-to none -n 1 "$kovos" "${scored[@]}" : \
    -n 1 "$kovos" evaluate --model "$model" --data other --threads 1
  expect 1 'have different pictures' "$mpirun" --oversubscribe --bind-to none \
    -n 1 "$kovos" segment --model "$model" --classes sky --image data/images --output none : \
    -n 1 "$kovos" segment --model "$model" --classes sky --image other/images --output none
  cp -r data broken2 && head -c 60 data/annotations/000003.png > broken2/annotations/000003.png
  expect 1 'annotations/000003.png' mpi 2 evaluate --model "$model" --data broken2 --threads 1

  mpi 2 segment --model "$model" --classes "sky,grass" --threads 1 --window whole --image data/images s1 s2 --output segs3 || fail "segment"
  [ "$(count segs3 '*.json')" -eq 28 ] || fail "two ranks of MPI wrote $(count segs3 '*.json') of 28 results"
  for f in segs2/*.labels.png; do same "$f" "segs3/${f#segs2/}"; done
fi

echo "$failures failures"
[ $failures -eq 0 ]
