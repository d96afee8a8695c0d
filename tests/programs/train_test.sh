#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Training as a user meets it: files, exit codes, sentences, runs that are killed.   train_test.sh KOVOS WORK_FOLDER
set -uo pipefail
kovos=$1 work=$2
failures=0
unset KOVOS_HOME

fail() { failures=$((failures + 1)); printf 'FAILED: %s\n' "$*"; }
# expect CODE SENTENCE COMMAND...: exit code, and a part of what is said on either stream.
expect() {
  local code=$1 sentence=$2 out status
  shift 2
  out=$("$@" 2>&1 </dev/null)
  status=$?
  if [ $status -ne "$code" ] || [[ $out != *"$sentence"* ]]; then
    fail "$*"
    printf '  exit %s, expected %s; expected to read: %s\n  said: %s\n' $status "$code" "$sentence" "${out:0:900}"
  fi
}
exists() { for f in "$@"; do [ -s "$f" ] || fail "$f is missing"; done; }
absent() { for f in "$@"; do [ ! -e "$f" ] || fail "$f should not be there"; done; }
same() { cmp -s "$1" "$2" || fail "$1 and $2 differ"; }
# Of a log, what depends on the run alone: all but throughput and memory.
curve() { cut -d, -f1-5,8 "$1/training.csv"; }
same_log() {
  exists "$1/training.csv"
  [ "$(curve "$1")" = "$(curve "$2")" ] || { fail "the logs of $1 and $2 differ"; diff <(curve "$1") <(curve "$2"); }
  [ "$(curve "$1" | tail -n +2 | cut -d, -f1)" = "$(sed 's/^{"step":\([0-9]*\),.*/\1/' "$1/training.jsonl")" ] ||
    fail "$1/training.jsonl has other steps than training.csv"
}
# Mean loss of the first and of the last three rows.
falls() {
  tail -n +2 "$1/training.csv" | awk -F, -v name="$1" -v least="$2" '{ loss[NR] = $3 }
    END { first = loss[1] + loss[2] + loss[3]; last = loss[NR] + loss[NR - 1] + loss[NR - 2]
          printf "%s: loss %.3f, then %.3f\n", name, first / 3, last / 3; exit !(NR >= 6 && last < least * first) }' ||
    fail "the loss of $1 did not fall below $2 of what it was"
}
# Waits for a file, or for a text in it.
wait_for() {
  for _ in $(seq 1200); do
    if [ $# -eq 1 ]; then [ -s "$1" ] && return; else grep -q "$2" "$1" 2>/dev/null && return; fi
    sleep 0.05
  done
  fail "waited for $* in vain"
}

mkdir -p "$work" && cd "$work" || exit 1
[ -z "$(ls -A)" ] || [ -e made_by_train_test ] || { echo "$work holds files of others"; exit 1; }
mountpoint -q disk 2>/dev/null && umount disk
rm -rf ./* && : > made_by_train_test
tiny=(model=cat_seg_tiny batch_size=2 max_gradient_norm=1 validation_pictures=2)
segmentation=("${tiny[@]}" data=data initial=clip/model.safetensors classes_per_step=6 learning_rate=1e-3 log_every=1)
# train FOLDER SETTING...: a short fine-tuning on our folder; settings that come later replace those that came before.
train() { local output=$1; shift; "$kovos" train --output "$output" --set "${segmentation[@]}" "$@"; }
# The same beside us: what it says is in FOLDER.txt, its number in $process.
begin() { local output=$1; shift; "$kovos" train --output "$output" --set "${segmentation[@]}" "$@" >"$output.txt" 2>&1 & process=$!; }

# From nothing to a model: scenes, a CLIP from captions, CAT-Seg from that CLIP.
expect 0 '12 scenes' "$kovos" scenes --out data --split train --count 12 --side 64
exists data/images/000011.png data/annotations/000011.png data/classes.txt data/captions.txt
expect 2 'is not empty' "$kovos" scenes --out data --count 1
expect 0 'clip/model.safetensors' "$kovos" train --output clip --set "${tiny[@]}" task=clip data=scenes steps=100 batch_size=8 \
  learning_rate=1e-3 dense_share=0.7 warmup_steps=5 log_every=10
falls clip 0.85
expect 0 'mIoU' train run steps=30 --pth
falls run 0.9
exists run/checkpoint.safetensors run/checkpoint.pth run/curves.png run/training.csv run/training.jsonl
same_log run run
[ "$(head -c 4 run/curves.png | tail -c 3)" = PNG ] || fail "run/curves.png is no PNG"
expect 0 'cat_seg_tiny' "$kovos" inspect run/model.safetensors
expect 0 '"name":"sky"' "$kovos" segment --model run/model.safetensors --image data/images/000000.png --classes "sky,grass" \
  --output labels --json
exists labels/000000.labels.png
evaluate() { "$kovos" evaluate --model run/model.safetensors --pictures 2 "$@"; }
expect 0 'mIoU' evaluate --data data --output scores.json
grep -q '"mean_iou": 0\.[0-9]' scores.json || fail "scores.json has no mean_iou"
expect 0 'unseen' evaluate --table
expect 0 'red cube' evaluate --data data --table
expect 0 '"pixel_accuracy": 0.' evaluate --data data --json
expect 1 "is not a folder" evaluate --data nowhere
expect 0 'model.safetensors' train half steps=2 --bf16-model
expect 0 '"name":"sky"' "$kovos" segment --model half/model.safetensors --image data/images/000000.png --classes "sky" --output labels --json
[ "$(stat -c %s half/model.safetensors)" -lt $(($(stat -c %s run/model.safetensors) * 6 / 10)) ] || fail "bf16 saves nothing"
for python in python3 /usr/bin/python3; do "$python" -c 'import torch' 2>/dev/null && break; done
if "$python" -c 'import torch' 2>/dev/null; then
  "$python" - <<'PYTHON' || fail "PyTorch reads something else in checkpoint.pth"
import json, struct, torch
file = torch.load("run/checkpoint.pth", map_location="cpu")
raw = open("run/checkpoint.safetensors", "rb").read()
length = struct.unpack("<Q", raw[:8])[0]
header = json.loads(raw[8:8 + length])
def stored(name):
    begin, end = header[name]["data_offsets"]
    values = torch.frombuffer(bytearray(raw[8 + length + begin:8 + length + end]), dtype=torch.float32)
    return values.reshape(header[name]["shape"])
assert file["iteration"] == 30 == int(header["__metadata__"]["kovos.training.step"])
moments = 0
for part, prefix in (("exp_avg", "training.exp_avg."), ("exp_avg_sq", "training.exp_avg_sq.")):
    names = [n[len(prefix):] for n in header if n.startswith(prefix)]
    assert sorted(names) == sorted(file["optimizer"][part]), part
    for name in names:
        assert torch.equal(file["optimizer"][part][name], stored(prefix + name)), name
        assert file["model"][name].shape == file["optimizer"][part][name].shape, name
        moments += bool(file["optimizer"][part][name].abs().sum() > 0)
assert len(names) > 50 and moments > len(names), (len(names), moments)
weights = [n for n in header if not n.startswith(("training.", "__", "kovos"))]
assert all(torch.equal(file["model"][n], stored(n)) for n in weights if header[n]["dtype"] == "F32")
print(f"checkpoint.pth: {len(weights)} weights, {moments} moments that are not zero")
PYTHON
else
  echo "not tested: checkpoint.pth in PyTorch (python3 has no torch)"
fi

# The same seed gives the same bytes, another seed others.
expect 0 '' train again steps=30 --pth
same run/model.safetensors again/model.safetensors
same run/checkpoint.safetensors again/checkpoint.safetensors
same_log run again
expect 0 '' train other steps=30 seed=5
cmp -s run/model.safetensors other/model.safetensors && fail "another seed gave the same model"
[ "$(curve run)" != "$(curve other)" ] || fail "another seed gave the same log"

# Killed at any moment, also while a checkpoint is written and between two rows of the log: in the end all is the same.
long=(steps=80 checkpoint_every=2 log_every=5 evaluate_every=20)
RANDOM=7
expect 0 '' train whole "${long[@]}"
begin killed "${long[@]}"
wait_for killed/checkpoint.safetensors
kills=0 unfinished=0
for attempt in 1 2 3 4 5 6 7 8; do
  if [ $((attempt % 2)) -eq 0 ]; then sleep 0.$((RANDOM % 4 + 1))$((RANDOM % 10)); else
    # The moment a checkpoint is half written.
    for _ in $(seq 20000); do
      compgen -G 'killed/checkpoint.safetensors.*.partial' >/dev/null && break
      kill -0 $process 2>/dev/null || break
    done
  fi
  kill -9 $process 2>/dev/null && kills=$((kills + 1))
  wait $process 2>/dev/null
  compgen -G 'killed/checkpoint.safetensors.*.partial' >/dev/null && unfinished=$((unfinished + 1))
  absent killed/model.safetensors
  expect 0 'cat_seg_tiny' "$kovos" inspect killed/checkpoint.safetensors
  begin killed "${long[@]}" --resume
  wait_for killed.txt 'resumed from'
done
wait $process || fail "the run that was killed did not finish: $(tail -n 2 killed.txt)"
echo "killed $kills times, $unfinished times in the middle of a checkpoint"
[ $kills -ge 5 ] || fail "the run was killed only $kills times"
[ $unfinished -ge 1 ] || fail "the run was never killed in the middle of a checkpoint"
same whole/model.safetensors killed/model.safetensors
same_log whole killed
compgen -G 'killed/*.partial' && fail "what was half written is still there"
expect 0 'killed/model.safetensors' train killed "${long[@]}" --resume
same_log whole killed

# Ctrl-C, and the system's request to stop, save and stop; meanwhile nobody else writes into the folder.
resume=()
for signal in INT TERM; do
  begin stopped "${long[@]}" "${resume[@]}"
  wait_for stopped.txt '^step [1-9]'
  expect 1 'another run' train stopped "${long[@]}" "${resume[@]}"
  kill -$signal $process
  wait $process
  status=$?
  [ $status -eq 0 ] || fail "stopped with $signal: exit $status"
  grep -q 'kovos: stopped at step [1-7]*[0-9] of 80; `--resume` goes on from stopped/checkpoint.safetensors' stopped.txt ||
    fail "stopped with $signal: $(tail -n 1 stopped.txt)"
  exists stopped/checkpoint.safetensors
  absent stopped/model.safetensors
  resume=(--resume)
done
expect 0 'resumed from' train stopped "${long[@]}" --resume
same whole/model.safetensors stopped/model.safetensors
same_log whole stopped

# A full disk: the last checkpoint stays, and the run goes on where there is room.
mkdir disk
if mount -t tmpfs -o size=6m kovos_train_test disk 2>/dev/null; then
  trap 'umount "$work/disk" 2>/dev/null' EXIT
  expect 1 'No space left on device' train disk steps=6 checkpoint_every=1
  expect 1 'free some space' train disk steps=6 checkpoint_every=1 --resume
  compgen -G 'disk/*.partial' && fail "a full disk is filled with unfinished files"
  cp -r disk room
  umount disk
  expect 0 'resumed from room/checkpoint.safetensors at step 1' train room steps=6 checkpoint_every=1 --resume
else
  echo "not tested: a full disk (mounting a small one is not permitted); ulimit takes its place"
fi
mkdir limited && expect 0 '' train limited steps=6 checkpoint_every=1
same_model() { [ ! -d "$1" ] || same "$1/model.safetensors" limited/model.safetensors; }
same_model room
small_files() { (ulimit -f 3000 && train "$@"); }
expect 1 "cannot write 'ulimit/checkpoint.safetensors'" small_files ulimit steps=6 checkpoint_every=1
expect 1 'free some space' small_files ulimit steps=6 checkpoint_every=1
absent ulimit/checkpoint.safetensors
compgen -G 'ulimit/*.partial' && fail "a file that became too large is left unfinished"
cp -r run limit_later && rm limit_later/model.safetensors
expect 1 "cannot write 'limit_later/model.safetensors'" bash -c "ulimit -f 1000; exec \"\$0\" \"\$@\"" \
  "$kovos" train --output limit_later --resume --set "${segmentation[@]}" steps=30
same run/checkpoint.safetensors limit_later/checkpoint.safetensors
expect 0 'at step 30' train limit_later steps=30 --resume
same run/model.safetensors limit_later/model.safetensors

# A loss that is not a number: said, and the last checkpoint holds numbers.
expect 1 'not a finite number; the last checkpoint is unharmed' train absurd learning_rate=1e30 max_gradient_norm=0 \
  checkpoint_every=1 steps=20
expect 0 'cat_seg_tiny' "$kovos" inspect absurd/checkpoint.safetensors
expect 0 'loss' train gentle steps=2 initial=run/checkpoint.safetensors
[ "$(tail -n +2 absurd/training.csv | wc -l)" -ge 1 ] || fail "the log of absurd is empty"

# Data that do not fit, each with its file; nothing is begun.
copy() { rm -rf "$1" && cp -r data "$1"; }
mkdir empty && expect 1 "'empty' has no pictures with labels" train none data=empty
expect 1 "'nowhere' is not a folder" train none data=nowhere
expect 1 "'empty/captions.txt' does not exist" train none data=empty task=clip
copy bare && rm bare/images/*
expect 1 "'bare/images' has no picture" train none data=bare
copy nameless && rm nameless/classes.txt
expect 1 'has images and annotations but no classes.txt. If it is ADE20K as published' train none data=nameless
copy lonely && rm lonely/annotations/000004.png
expect 1 "'lonely/images/000004.png' has no label: expected 'lonely/annotations/000004.png'" train none data=lonely
copy beyond && sed -i 5q beyond/classes.txt
expect 1 'expected 0 to 4 or 255 for none: the list has 5 classes' train none data=beyond
copy sizes && "$kovos" scenes --out thirty --count 1 --side 32 >/dev/null 2>&1 && cp thirty/annotations/000000.png sizes/annotations/000005.png
expect 1 "'sizes/images/000005.png' is 64 x 64 and its label 'sizes/annotations/000005.png' is 32 x 32" train none data=sizes
copy cut && head -c 200 data/images/000006.png > cut/images/000006.png
expect 1 'cut/images/000006.png: damaged PNG' train none data=cut
expect 1 'cut/images/000006.png: damaged PNG' train none data=cut task=clip
absent none/checkpoint.safetensors none/training.csv
expect 0 'left out 000006: cut/images/000006.png: damaged PNG' train skipped data=cut unreadable=skip steps=2
expect 0 'left out 000006.png: cut/images/000006.png: damaged PNG' train skipped_clip data=cut unreadable=skip task=clip steps=2
exists skipped/model.safetensors skipped_clip/model.safetensors
copy all_cut && for f in all_cut/images/*; do : > "$f"; done
expect 1 'none of the 12 pictures' train none data=all_cut unreadable=skip
expect 1 'holds no captions of pictures that can be read' train none data=all_cut unreadable=skip task=clip
copy captions && printf 'no tab here\n' >> captions/captions.txt
expect 1 'captions.txt line 13: expected a file name, a tab and a caption' train none data=captions task=clip
copy captions && printf 'gone.png\ta cat\n' >> captions/captions.txt
expect 1 'captions.txt line 13: there is no captions/gone.png' train none data=captions task=clip
absent none/checkpoint.safetensors none/training.csv

# Settings.
expect 1 "there is no setting 'learing_rate'; did you mean 'learning_rate'?" train none learing_rate=1
expect 1 "'steps' must be a whole number that is not negative, got \"many\"" train none steps=many
expect 1 "'recompute' must be true or false" train none recompute=1
expect 1 "'steps' must be positive, got 0" train none steps=0
expect 1 "'task' is 'sing', expected one of cat_seg, clip" train none task=sing
expect 1 'expected cat_seg_vit_b16' train none model=cat_seg_huge
expect 1 'must hold {} where the class name goes' train none class_template=photo
expect 2 'expected key=value' train none steps
expect 0 '"class_template": "{}"' train none class_template={} --show-settings
expect 0 '"data": "2017"' train none data=2017 --show-settings
printf '{\n  "steps": 3,\n  "seed" 1\n}\n' > broken.json
expect 1 'broken.json: parse error at line 3' "$kovos" train --config broken.json --output none
printf '[1]' > list.json
expect 1 'this is not a JSON object of training settings' "$kovos" train --config list.json --output none
printf '{"steps": 3, "sed": 1}' > typo.json
expect 1 "typo.json: there is no setting 'sed'; did you mean 'seed'?" "$kovos" train --config typo.json --output none
expect 1 "'missing.json' does not exist" "$kovos" train --config missing.json --output none
expect 2 '--output is required' "$kovos" train --set "${segmentation[@]}"
mkdir -p settings && printf '{"model": "cat_seg_tiny", "data": "../data", "initial": "../clip/model.safetensors", "steps": 2,
  "batch_size": 2, "classes_per_step": 6}' > settings/run.json
expect 0 'from_file/model.safetensors' "$kovos" train --config settings/run.json --output from_file
echo blocked > blocked
expect 1 "the output folder 'blocked' cannot be made" train blocked steps=2

# Weights that do not fit.
expect 1 "'gone.safetensors' does not exist" train none initial=gone.safetensors
expect 1 'unknown kind' train none initial=run/training.csv
expect 1 'these weights do not fit cat_seg_scenes' train none model=cat_seg_scenes
head -c 5000 run/model.safetensors > short.safetensors
expect 1 'short.safetensors' train none initial=short.safetensors
absent none/checkpoint.safetensors none/training.csv

# A folder that holds a run, or none.
cp -r run before
expect 2 'holds a run already: add --resume to go on, or choose another folder' train run steps=30
expect 1 "had 'seed' = 0, this one has 3" train run steps=30 seed=3 --resume
expect 1 "had 'steps' = 30, this one has 40" train run steps=40 --resume
diff -r before run || fail "a run was changed by one that was refused"
expect 2 'holds no checkpoint to resume from' train fresh steps=2 --resume
absent fresh
mkdir only_model && cp run/model.safetensors only_model/
expect 2 'holds a model already' train only_model steps=2
same run/model.safetensors only_model/model.safetensors
cp -r run damaged && head -c 100000 run/checkpoint.safetensors > damaged/checkpoint.safetensors
expect 1 'damaged/checkpoint.safetensors' train damaged steps=30 --resume
mkdir foreign && cp run/model.safetensors foreign/checkpoint.safetensors
expect 1 'holds no training state to resume from' train foreign steps=30 --resume
same run/model.safetensors foreign/checkpoint.safetensors

# The published layouts: their own class lists, training apart from validation.
layout() {  # ROOT LABEL_FOLDER TRAINING VALIDATION
  for part in "$3" "$4"; do
    mkdir -p "$1/images/$part" "$1/$2/$part"
    cp data/images/* "$1/images/$part/" && cp data/annotations/* "$1/$2/$part/"
  done
}
layout ade/ADEChallengeData2016 annotations training validation
expect 0 'ade_run/model.safetensors' train ade_run data=ade steps=2
expect 0 '"building"' "$kovos" evaluate --model ade_run/model.safetensors --data ade --pictures 1 --json
rm ade/ADEChallengeData2016/annotations/training/000003.png
expect 1 "images/training/000003.png' has no label" train none data=ade
mv ade/ADEChallengeData2016 ade/renamed && cp data/annotations/000003.png ade/renamed/annotations/training/
expect 1 'choose the layout ade20k' train none data=ade
expect 0 'layout_run/model.safetensors' train layout_run data=ade layout=ade20k steps=2
expect 1 "is 'ade', expected one of automatic" train none data=ade layout=ade
layout coco stuffthingmaps_detectron2 train2017 val2017
expect 0 'coco_run/model.safetensors' train coco_run data=coco steps=2
expect 0 '"giraffe"' "$kovos" evaluate --model coco_run/model.safetensors --data coco --pictures 1 --json
layout mine annotations training validation && cp data/classes.txt mine/
expect 0 'mine_run/model.safetensors' train mine_run data=mine steps=2

echo "$failures failures"
[ $failures -eq 0 ]
