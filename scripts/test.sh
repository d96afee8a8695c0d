#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets up, builds and runs all tests. KOVOS_BUILD_DIR, KOVOS_JOBS and CXX are honoured; arguments go to ctest.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${KOVOS_BUILD_DIR:-build/release}
jobs=${KOVOS_JOBS:-$(nproc)}
scripts/bootstrap.sh
echo "test: configuring $build"
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER="${CXX:-g++}"
echo "test: building with $jobs jobs"
cmake --build "$build" -j "$jobs"
echo "test: running"
ctest --test-dir "$build" --output-on-failure "$@"
