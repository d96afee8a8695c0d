#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Processor time, memory and object size of compiling the ten-line program, with headers only and linking
# kovos::instances: bench/compile_time.sh BUILD_DIRECTORY [OTHER_TREE]
# With another tree of Kovos (git worktree add /tmp/old COMMIT) the compilations alternate, and ratios to it are printed.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:?usage: bench/compile_time.sh BUILD_DIRECTORY [OTHER_TREE]}
other=${2:+$(cd "$2" && pwd)}
rounds=${KOVOS_ROUNDS:-3}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The command CMake compiles examples/segment.cpp with, without its launcher and output.
command=$(ninja -C "$build" -t commands examples/CMakeFiles/kovos_example_segment.dir/segment.cpp.o | tail -n 1)
flags=$(sed -E 's/^[^ ]*ccache //; s/^[^ ]+ //; s/ -MD .*//; s/ -o .*//; s/\\"/"/g' <<<"$command")
here=$PWD
cd "$build"

# name, tree, further options -> "seconds of the processor, kilobytes", a line more in $scratch/name
compile() {
  local name=$1 tree=$2
  shift 2
  # shellcheck disable=SC2206
  local all=("$compiler" ${flags//$here\/include/$tree\/include} "$@" -c "$tree/examples/segment.cpp" -o "$scratch/$name.o")
  if [ -x /usr/bin/time ]; then
    /usr/bin/time -f '%U %M' -a -o "$scratch/$name" "${all[@]}" 2>"$scratch/said" || { tail -n 5 "$scratch/said"; return 1; }
  else
    { TIMEFORMAT='%U -'; time "${all[@]}" 2>"$scratch/said"; } 2>>"$scratch/$name" || { tail -n 5 "$scratch/said"; return 1; }
  fi
}
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

linked=(-DKOVOS_INSTANCES -DKOVOS_INSTRUCTION_SETS)
printf '| compiler | options | program | seconds of the processor | peak memory | object | ratio |\n| --- | --- | --- | --- | --- | --- | --- |\n'
for compiler in ${KOVOS_COMPILERS:-g++ clang++ clang++-14}; do
  command -v "$compiler" >/dev/null || continue
  for level in ${KOVOS_LEVELS:--O3 -O0}; do
    rm -f "$scratch/other" "$scratch/headers" "$scratch/linked"
    for ((round = 0; round < rounds; ++round)); do
      if [ -n "$other" ]; then compile other "$other" "$level" || continue 2; fi
      compile headers "$here" "$level" || continue 2
      compile linked "$here" "$level" "${linked[@]}" || continue 2
    done
    for program in ${other:+other} headers linked; do
      memory=$(awk '$2 > most { most = $2 } END { if (most > 0) printf "%.2f GB", most / 1e6; else print "-" }' "$scratch/$program")
      ratio=-
      if [ -n "$other" ]; then
        ratio=$(awk -v a="$(median "$scratch/$program")" -v b="$(median "$scratch/other")" 'BEGIN { printf "%.2f", a / b }')
      fi
      printf '| %s | `%s` | %s | %s | %s | %s | %s |\n' "$("$compiler" --version | head -n 1)" "$level" "$program" \
        "$(cut -d' ' -f1 "$scratch/$program" | paste -sd' ')" "$memory" "$(stat -c %s "$scratch/$program.o" | awk '{printf "%.1f MB", $1 / 1e6}')" "$ratio"
    done
  done
done
