#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets up, builds and runs all tests. KOVOS_BUILD_DIR, KOVOS_JOBS and CXX are honoured; arguments go to ctest.
#   --cuda   (first) the same on an NVIDIA GPU, in build/cuda, with the Kokkos of bootstrap.sh --cuda
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=${KOVOS_JOBS:-$(nproc)}
if [ "${1:-}" = --cuda ]; then
  shift
  # Before an hour of compiling.
  if ! nvidia-smi -L 2>/dev/null | grep -q '^GPU '; then
    echo "test: --cuda needs an NVIDIA GPU and its driver; nvidia-smi shows none on this machine" >&2
    exit 1
  fi
  build=${KOVOS_BUILD_DIR:-build/cuda}
  export NVCC_WRAPPER_DEFAULT_COMPILER=${CXX:-g++}
  scripts/bootstrap.sh --cuda
  if ! command -v nvcc >/dev/null; then export PATH=$PATH:/usr/local/cuda/bin; fi
  echo "test: configuring $build"
  cmake --preset cuda -B "$build"
else
  build=${KOVOS_BUILD_DIR:-build/release}
  scripts/bootstrap.sh
  echo "test: configuring $build"
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER="${CXX:-g++}"
fi
echo "test: building with $jobs jobs"
cmake --build "$build" -j "$jobs"
echo "test: running"
ctest --test-dir "$build" --output-on-failure "$@"
