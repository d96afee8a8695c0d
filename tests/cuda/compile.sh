#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compiles what a GPU would run with nvcc, warnings as errors; no GPU is needed.
#   compile.sh NVCC OUTPUT_FOLDER INCLUDE_FOLDER...   the folders of Kokkos and of the libraries that Kovos uses
# KOVOS_CUDA_ARCH (90), KOVOS_JOBS and CXX (a g++) are honoured.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
nvcc=$1 out=$2
shift 2
jobs=${KOVOS_JOBS:-$(nproc)}
overlay=$out/overlay
mkdir -p "$overlay/desul/atomics"

find_header() {
  local folder
  for folder in "${includes[@]}"; do
    if [ -e "$folder/$1" ]; then echo "$folder/$1"; return; fi
  done
  echo "cuda: there is no $1 in ${includes[*]}" >&2
  exit 1
}

includes=() flags=()
for folder in "$@"; do
  [ -n "$folder" ] && [ "$folder" != "$root/include" ] && [ "$folder" != /usr/include ] || continue
  includes+=("$folder")
  flags+=(-isystem "$folder")
done

# The packaged Kokkos was built for the host alone, but has all headers. What its configuration says of CUDA is put in
# front of it; the order of the backends matters to Kokkos.
config=$(find_header KokkosCore_config.h)
desul=$(find_header desul/atomics/Config.hpp)
arch=${KOVOS_CUDA_ARCH:-90}
case $arch in
  80) family=AMPERE ;; 89) family=ADA ;; 90) family=HOPPER ;; 100 | 120) family=BLACKWELL ;;
  *) echo "cuda: KOVOS_CUDA_ARCH is $arch; 80, 89, 90, 100 and 120 are known" >&2; exit 1 ;;
esac
if ! grep -q '^#define KOKKOS_ENABLE_CUDA$' "$config"; then
  awk -v family="$family" -v arch="$arch" '/^#define KOKKOS_ENABLE_/ && !done {
      print "#define KOKKOS_ENABLE_CUDA\n#define KOKKOS_ARCH_" family "\n#define KOKKOS_ARCH_" family arch; done = 1
    } { print }' "$config" >"$overlay/KokkosCore_config.h"
  sed 's|^/\* #undef DESUL_ATOMICS_ENABLE_CUDA \*/|#define DESUL_ATOMICS_ENABLE_CUDA|' "$desul" >"$overlay/desul/atomics/Config.hpp"
  for part in Declare Fwd; do
    file=KokkosCore_Config_${part}Backend.hpp
    folder=$([ $part = Declare ] && echo decl || echo fwd)
    { grep '^#include' "$(find_header "$file")"; echo "#include <$folder/Kokkos_${part}_CUDA.hpp>"; } >"$overlay/$file"
  done
  echo '#include <setup/Kokkos_Setup_Cuda.hpp>' >"$overlay/KokkosCore_Config_SetupBackend.hpp"
fi

# Those that need a library of their own are left to who uses it.
(cd "$root/include" && find kovos -name '*.hpp' ! -path '*/interop/*' ! -path '*/engine/eigen/gemm.hpp' \
  ! -path '*/engine/onednn/gemm.hpp' ! -path '*/mpi.hpp' ! -name 'tiff*.hpp' | sort | sed 's/.*/#include "&"/') >"$overlay/every_header.hpp"

compiler=()
if [ -n "${CXX:-}" ] && "$CXX" --version 2>/dev/null | grep -qv clang; then compiler=(-ccbin "$CXX"); fi
compile() {  # what, source, result
  local log=$out/$3.log
  "$nvcc" -x cu -std=c++20 "-arch=sm_$arch" --extended-lambda -Werror all-warnings "${compiler[@]}" -Xcompiler -fopenmp \
    "-I$overlay" "-I$root/include" "${flags[@]}" "$1" "$here/$2" -o "$out/$3" >"$log" 2>&1 && return
  echo "cuda: $2 does not compile:"
  # The trail of templates is long; all of it is in the file.
  grep -v '^ *\(instantiation of\|detected during\)' "$log" | head -n 60
  echo "cuda: all of it is in $log"
  return 1
}

# With a driver and a GPU the program says nothing.
no_gpu() {
  compile -O1 no_gpu.cu no_gpu || return 1
  local said code=0
  said=$("$out/no_gpu") || code=$?
  [ $code = 0 ] && [ -z "$said" ] && return
  [ $code = 1 ] && [[ $said == "this build computes on an NVIDIA GPU, and none can be used here ("*"); use a build whose Kokkos has no CUDA" ]] && return
  echo "cuda: a machine without a GPU hears (exit code $code): $said"
  return 1
}

units=(kernels outputs cat_seg clip_training any_model)
rm -f "$out"/*.cubin "$out"/*.o
failed=0 running=0
for unit in "${units[@]}" whole no_gpu; do
  if [ $running -ge "$jobs" ]; then wait -n || failed=1; running=$((running - 1)); fi
  # Device code of all, and one whole object, with the host's half.
  if [ $unit = whole ]; then compile -c kernels.cu kernels.o &
  elif [ $unit = no_gpu ]; then no_gpu &
  else compile -cubin "$unit.cu" "$unit.cubin" &
  fi
  running=$((running + 1))
done
while [ $running -gt 0 ]; do wait -n || failed=1; running=$((running - 1)); done
[ $failed = 0 ] || exit 1
if command -v python3 >/dev/null; then
  python3 "$here/../layers/check_device_lambdas.py" "$root/include/kovos" "$out"/*.cubin
fi
times >"$out/times"
seconds=$(tail -n 1 "$out/times" | awk '{split($1, u, /[ms]/); split($2, s, /[ms]/); printf "%.0f", u[1] * 60 + u[2] + s[1] * 60 + s[2]}')
echo "cuda: nvcc compiled $((${#units[@]} + 2)) units for sm_$arch in $seconds s of processor time; no kernel was run"
