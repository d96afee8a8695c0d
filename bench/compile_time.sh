#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Seconds, memory and object size of compiling the ten-line program: bench/compile_time.sh BUILD_DIRECTORY
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:?usage: bench/compile_time.sh BUILD_DIRECTORY}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The command CMake compiles examples/segment.cpp with, without its launcher and output.
command=$(ninja -C "$build" -t commands examples/CMakeFiles/kovos_example_segment.dir/segment.cpp.o | tail -n 1)
flags=$(sed -E 's/^[^ ]*ccache //; s/^[^ ]+ //; s/ -MD .*//; s/ -o .*//' <<<"$command")
cd "$build"
printf '| compiler | options | seconds (3 runs) | peak memory | object |\n| --- | --- | --- | --- | --- |\n'
for compiler in g++ clang++ clang++-14; do
  command -v "$compiler" >/dev/null || continue
  for level in -O3 -O0; do
    times=()
    for _ in 1 2 3; do
      # shellcheck disable=SC2086
      /usr/bin/env bash -c 'TIMEFORMAT=%R; time "$@"' - "$compiler" $flags $level \
        -c "$OLDPWD/examples/segment.cpp" -o "$scratch/segment.o" 2>"$scratch/time" || { tail -n 5 "$scratch/time"; continue 2; }
      times+=("$(tail -n 1 "$scratch/time")")
    done
    memory='-'
    if [ -x /usr/bin/time ]; then
      # shellcheck disable=SC2086
      memory=$(/usr/bin/time -f %M "$compiler" $flags $level -c "$OLDPWD/examples/segment.cpp" -o "$scratch/segment.o" 2>&1 |
        tail -n 1 | awk '{printf "%.2f GB", $1 / 1e6}')
    fi
    size=$(stat -c %s "$scratch/segment.o" | awk '{printf "%.1f MB", $1 / 1e6}')
    printf '| %s | `%s` | %s | %s | %s |\n' "$("$compiler" --version | head -n 1)" "$level" "${times[*]}" "$memory" "$size"
  done
done
