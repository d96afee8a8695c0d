#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Processor time, memory and object size of compiling the ten-line program (examples/segment.cpp), with headers only and
# linking kovos::instances:
#
#   bench/compile_time.sh BUILD_DIRECTORY [--against TREE] [--rounds N] [--levels "-O3 -O0"] [--compilers "g++ clang++"]
#   bench/compile_time.sh BUILD_DIRECTORY --against TREE --whole
#
#   BUILD_DIRECTORY   a configured build of this tree: its flags are taken; nothing in it need be built
#   --against TREE    another tree of Kovos (git worktree add /tmp/old COMMIT): the compilations take turns, and the last
#                     column is the ratio to it
#   --rounds N        how often each is compiled (1); the ratio is of the medians
#   --whole           instead, both trees' builds from nothing, one after the other, with tests and without a compiler
#                     cache, by as many jobs as there are processors: half an hour and more each
#
# Seconds are of the processor (user and system), which a busy machine lengthens less than the clock's; all the same a
# number counts only beside one of the same run.
set -euo pipefail
cd "$(dirname "$0")/.."
usage() { sed -n '3,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }
build= other= rounds=1 levels=-O3 compilers=${CXX:-g++} whole=no
while [ $# -gt 0 ]; do
  case $1 in
    --against) other=$(cd "${2:?--against needs a folder}" && pwd); shift ;;
    --rounds) rounds=${2:?--rounds needs a number}; shift ;;
    --levels) levels=${2:?--levels needs options}; shift ;;
    --compilers) compilers=${2:?--compilers needs names}; shift ;;
    --whole) whole=yes ;;
    -*) usage ;;
    *) if [ -n "$build" ]; then usage; fi; build=$1 ;;
  esac
  shift
done
if [ -z "$build" ]; then usage; fi
here=$PWD
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# command... -> its processor seconds and those of its children, on standard output
seconds_of() {
  local TIMEFORMAT='%U %S'
  { time "$@" >"$scratch/said" 2>&1; } 2>"$scratch/time" || { tail -n 20 "$scratch/said" >&2; return 1; }
  awk '{ printf "%.1f\n", $1 + $2 }' "$scratch/time"
}

if [ "$whole" = yes ]; then
  if [ -z "$other" ]; then echo "compile_time: --whole compares: give --against TREE" >&2; exit 2; fi
  export CCACHE_DISABLE=1
  printf '| tree | build from nothing, seconds of the processor | ratio |\n| --- | --- | --- |\n'
  first=
  for tree in "$other" "$here"; do
    cmake -S "$tree" -B "$scratch/build" -G Ninja -DCMAKE_BUILD_TYPE=Release >"$scratch/said" 2>&1 || { cat "$scratch/said" >&2; exit 1; }
    used=$(seconds_of cmake --build "$scratch/build" -j "${KOVOS_JOBS:-$(nproc)}")
    first=${first:-$used}
    printf '| %s | %s | %s |\n' "$tree" "$used" "$(awk -v a="$used" -v b="$first" 'BEGIN { printf "%.2f", a / b }')"
    rm -rf "$scratch/build"
  done
  exit
fi

# The command CMake compiles it with, without its launcher, compiler and output.
command=$(ninja -C "$build" -t commands examples/CMakeFiles/kovos_example_segment.dir/segment.cpp.o | tail -n 1)
flags=$(sed -E 's/^[^ ]*ccache //; s/^[^ ]+ //; s/ -MD .*//; s/ -o .*//; s/\\"/"/g' <<<"$command")
if [ -z "$flags" ]; then
  echo "compile_time: $build is no build of this tree with ninja and the examples" >&2
  exit 1
fi

# name, tree, further options: a line "seconds" more in $scratch/name, the peak of memory in $scratch/name.memory
compile() {
  local name=$1 tree=$2
  shift 2
  # shellcheck disable=SC2206
  local all=("$compiler" ${flags//$here\/include/$tree\/include} "$@" -c "$tree/examples/segment.cpp" -o "$scratch/$name.o")
  if [ -x /usr/bin/time ]; then all=(/usr/bin/time -f %M -a -o "$scratch/$name.memory" "${all[@]}"); fi
  seconds_of "${all[@]}" >>"$scratch/$name"
}
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

printf '| compiler | level | program | seconds of the processor | peak memory | object | ratio |\n| --- | --- | --- | --- | --- | --- | --- |\n'
for compiler in $compilers; do
  version=$("$compiler" --version | head -n 1)
  for level in $levels; do
    rm -f "$scratch"/other* "$scratch"/headers* "$scratch"/linked*
    for ((round = 0; round < rounds; ++round)); do
      if [ -n "$other" ]; then compile other "$other" "$level"; fi
      compile headers "$here" "$level"
      compile linked "$here" "$level" -DKOVOS_INSTANCES -DKOVOS_INSTRUCTION_SETS
    done
    for program in ${other:+other} headers linked; do
      memory=-
      if [ -e "$scratch/$program.memory" ]; then
        memory=$(sort -n "$scratch/$program.memory" | tail -n 1 | awk '{ printf "%.2f GB", $1 / 1e6 }')
      fi
      ratio=-
      if [ -n "$other" ]; then
        ratio=$(awk -v a="$(median "$scratch/$program")" -v b="$(median "$scratch/other")" 'BEGIN { printf "%.2f", a / b }')
      fi
      case $program in
        other) words="of $other" ;;
        headers) words="headers only" ;;
        linked) words="linking kovos::instances" ;;
      esac
      printf '| %s | `%s` | %s | %s | %s | %s | %s |\n' "$version" "$level" "$words" "$(paste -sd' ' "$scratch/$program")" \
        "$memory" "$(stat -c %s "$scratch/$program.o" | awk '{ printf "%.1f MB", $1 / 1e6 }')" "$ratio"
    done
  done
done
