#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what Kovos needs on a Debian-family machine. Safe to run again: what is there is left alone.
#   --cuda                      instead of a Kokkos for the processor, builds one for CUDA and OpenMP in build/kokkos-cuda
#                               from the upstream release; the preset `cuda` uses it
#   KOVOS_NO_SYSTEM_UPGRADE=1   forbids replacing the machine's C library (see below)
#   KOVOS_CUDA_ARCH=90          the GPU's compute capability, without the point
#   KOVOS_KOKKOS_SOURCE=FOLDER  Kokkos' sources, where upstream cannot be reached
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

say() { printf 'bootstrap: %s\n' "$*"; }
die() { printf 'bootstrap: %s\n' "$*" >&2; exit 1; }

cuda=no
case "${1:-}" in
  "") ;;
  --cuda) cuda=yes ;;
  *) die "there is no option $1; --cuda is the only one" ;;
esac

has_package() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]; }
has_kokkos() {
  local folder file version
  for folder in ${CMAKE_PREFIX_PATH:+${CMAKE_PREFIX_PATH//[;:]/ }} ${Kokkos_ROOT:+"$Kokkos_ROOT"} /usr /usr/local /opt/kokkos; do
    for file in "$folder"/lib*/cmake/Kokkos/KokkosConfigVersion.cmake "$folder"/lib/*/cmake/Kokkos/KokkosConfigVersion.cmake; do
      [ -e "$file" ] || continue
      version=$(sed -n 's/^set(PACKAGE_VERSION "\(.*\)")/\1/p' "$file")
      if at_least "${version:-0}" 4.6; then return 0; fi
    done
  done
  return 1
}
release=$(sed -n 's/^set(KOVOS_KOKKOS_VERSION \(.*\))$/\1/p' "$root/cmake/KovosKokkosRelease.cmake")
upstream_reachable() { timeout 20 git ls-remote --exit-code https://github.com/kokkos/kokkos.git "refs/tags/$release" >/dev/null 2>&1; }
# The Debian package forgets two libraries without content that its CMake files name.
forgotten_archives() {
  local folder name
  for folder in /usr/lib/*/; do
    [ -e "${folder}libkokkoscore.so" ] || continue
    for name in algorithms simd; do
      [ -e "${folder}libkokkos$name.a" ] && continue
      if grep -qs "libkokkos$name\.a" "${folder}"cmake/Kokkos/*.cmake; then echo "${folder}libkokkos$name.a"; fi
    done
  done
}

# Kokkos for a GPU, built beside Kovos: no distribution has it.
cuda_kokkos() {
  local to=$root/build/kokkos-cuda arch=${KOVOS_CUDA_ARCH:-90} name source=${KOVOS_KOKKOS_SOURCE:-} jobs=${KOVOS_JOBS:-$(nproc)}
  case $arch in
    75) name=TURING75 ;; 80) name=AMPERE80 ;; 86) name=AMPERE86 ;; 87) name=AMPERE87 ;; 89) name=ADA89 ;;
    90) name=HOPPER90 ;; 100) name=BLACKWELL100 ;; 120) name=BLACKWELL120 ;;
    *) die "KOVOS_CUDA_ARCH is $arch; 75, 80, 86, 87, 89, 90, 100 and 120 are known" ;;
  esac
  if [ -e "$to/arch" ] && [ "$(cat "$to/arch")" = "$arch" ]; then
    say "Kokkos for CUDA, architecture $arch, is there: $to"
    return
  fi
  if ! command -v nvcc >/dev/null && [ -x /usr/local/cuda/bin/nvcc ]; then export PATH=$PATH:/usr/local/cuda/bin; fi
  command -v nvcc >/dev/null || die "--cuda needs nvcc 12.2 or newer: install NVIDIA's CUDA toolkit and put its bin folder on the PATH"
  if [ -z "$source" ]; then
    say "Kokkos: downloading the upstream release $release"
    mkdir -p "$to"
    cmake "-DTO=$to" -P "$root/cmake/KovosKokkosRelease.cmake" || die "the upstream release of Kokkos cannot be had (see above): unpack it on this machine and name the folder in KOVOS_KOKKOS_SOURCE"
    source=$to/kokkos-$release
  fi
  [ -x "$source/bin/nvcc_wrapper" ] || die "there are no sources of Kokkos in $source"
  say "building Kokkos for CUDA (architecture $arch) and OpenMP; this takes some minutes"
  NVCC_WRAPPER_DEFAULT_COMPILER=${CXX:-g++} cmake -S "$source" -B "$to/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    "-DCMAKE_CXX_COMPILER=$source/bin/nvcc_wrapper" -DCMAKE_CXX_STANDARD=20 -DCMAKE_POSITION_INDEPENDENT_CODE=ON \
    -DKokkos_ENABLE_CUDA=ON -DKokkos_ENABLE_OPENMP=ON -DKokkos_ENABLE_SERIAL=ON "-DKokkos_ARCH_$name=ON" \
    "-DCMAKE_INSTALL_PREFIX=$to" -DCMAKE_INSTALL_LIBDIR=lib
  NVCC_WRAPPER_DEFAULT_COMPILER=${CXX:-g++} cmake --build "$to/build" -j "$jobs"
  cmake --install "$to/build" >/dev/null
  echo "$arch" >"$to/arch"
  say "Kokkos for CUDA is in $to: cmake --preset cuda"
}
# What is left to do once the packages are there.
finish() {
  if [ $cuda = yes ]; then cuda_kokkos; fi
  exit 0
}

tools=("${CXX:-g++}" cmake ninja git python3)
packages=(ca-certificates nlohmann-json3-dev libcli11-dev libpng-dev libjpeg-dev libtiff-dev libzip-dev zlib1g-dev libutf8proc-dev)
missing=()

if ! command -v dpkg-query >/dev/null; then
  [ $cuda = yes ] || has_kokkos || upstream_reachable || die "this is not a Debian-family machine: install Kokkos >= 4.6, doctest, nlohmann-json, CLI11, libpng, libjpeg, libtiff, libzip, zlib and utf8proc with its own tools"
  say "not a Debian-family machine: assuming the libraries are installed (CMake will tell)"
  finish
fi
for tool in "${tools[@]}"; do
  if ! command -v "$tool" >/dev/null; then missing+=("${tool/#ninja/ninja-build}"); fi
done
for package in "${packages[@]}"; do
  # libjpeg-dev is a name that other packages stand in for
  if [ "$package" = libjpeg-dev ] && has_package libjpeg62-turbo-dev; then continue; fi
  if [ "$package" = libjpeg-dev ] && has_package libjpeg-turbo8-dev; then continue; fi
  has_package "$package" || missing+=("$package")
done

# Debian 12 has an old doctest, Eigen and xtensor; any of them will do for the tests that use them.
for package in doctest-dev libeigen3-dev libxtensor-dev libopenmpi-dev openmpi-bin; do has_package "$package" || missing+=("$package"); done

need_kokkos=no
[ $cuda = yes ] || has_kokkos || need_kokkos=yes
if [ ${#missing[@]} -eq 0 ] && [ $need_kokkos = no ] && [ -z "$(forgotten_archives)" ]; then
  if [ $cuda = no ]; then say "everything is there"; fi
  finish
fi

run=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || die "installing packages needs root or sudo; run this as root, or install yourself: ${missing[*]} and Kokkos >= 4.6"
  run=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
install() { "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; }

if [ ${#missing[@]} -gt 0 ] || [ $need_kokkos = yes ]; then
  say "updating the package lists"
  "${run[@]}" apt-get update -q || die "the package lists cannot be updated: is this machine's package mirror within reach?"
fi

if [ $need_kokkos = yes ]; then
  candidate=$(apt-cache policy libkokkos-dev 2>/dev/null | awk '/Candidate:/{print $2}')
  # A package that would replace the C library is the last resort below, not an ordinary one.
  if [ -n "$candidate" ] && [ "$candidate" != "(none)" ] && dpkg --compare-versions "$candidate" ge 4.6 &&
    plan=$(apt-get install -s libkokkos-dev 2>/dev/null) && ! grep -q '^Inst libc6 ' <<<"$plan"; then
    missing+=(libkokkos-dev)
    need_kokkos=packaged
  elif command -v git >/dev/null && upstream_reachable; then
    say "Kokkos: CMake will fetch and build the upstream release"
    need_kokkos=no
  fi
fi

# Everything from the machine's own release first, so that nothing below replaces it.
own=()
for package in "${missing[@]}"; do
  case $package in doctest-dev | libeigen3-dev | libxtensor-dev) if [ $need_kokkos = yes ]; then continue; fi ;; esac
  own+=("$package")
  # libtiff-dev brings libzstd-dev, which must be of the libzstd1 that is there; that may be of a newer release (below).
  if [ "$package" = libtiff-dev ] && has_package libzstd1 && ! has_package libzstd-dev; then
    zstd=$(dpkg-query -W -f '${Version}' libzstd1)
    if apt-cache madison libzstd-dev | grep -qF " $zstd "; then own+=("libzstd-dev=$zstd"); fi
  fi
done
if [ ${#own[@]} -gt 0 ]; then
  say "installing ${own[*]}"
  install "${own[@]}"
fi
if [ $need_kokkos = yes ] && upstream_reachable; then
  say "Kokkos: CMake will fetch and build the upstream release"
  need_kokkos=no
fi

if [ $need_kokkos = yes ]; then
  # Last resort: the packaged Kokkos of Debian unstable, whose binary needs the C library of Debian 13.
  # shellcheck disable=SC1091
  . /etc/os-release
  [ "${ID:-}" = debian ] || die "no Kokkos >= 4.6 package for ${PRETTY_NAME:-this system} and the upstream release cannot be reached: install Kokkos and set CMAKE_PREFIX_PATH"
  sources=/etc/apt/sources.list
  if [ -e /etc/apt/sources.list.d/debian.sources ]; then sources=/etc/apt/sources.list.d/debian.sources; fi
  mirror=$(awk '/^URIs:/{print $2; exit} /^deb /{for (i = 2; i <= NF; i++) if ($i ~ /^[a-z]+:\/\//) {print $i; exit}}' "$sources")
  [ -n "$mirror" ] || die "cannot tell this machine's package mirror from $sources"
  newer_libc=no
  if ! dpkg --compare-versions "$(dpkg-query -W -f '${Version}' libc6)" ge 2.38; then newer_libc=yes; fi
  if [ $newer_libc = yes ] && [ -n "${KOVOS_NO_SYSTEM_UPGRADE:-}" ]; then
    die "the only Kokkos within reach needs a newer C library, and KOVOS_NO_SYSTEM_UPGRADE forbids replacing it: build Kokkos >= 4.6 yourself and set CMAKE_PREFIX_PATH"
  fi
  say "Kokkos is neither installed nor within reach upstream."
  if [ $newer_libc = yes ]; then say "Its package needs a newer C library: libc6, libstdc++6, libgomp1 and their companions are replaced by those of Debian 13."; fi
  say "Taking Kokkos from Debian unstable; other packages stay as they are."
  keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  suites=(sid)
  if [ $newer_libc = yes ]; then suites=(trixie sid); fi
  for suite in "${suites[@]}"; do
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n\n' "$mirror" "$suite" "$keyring"
  done | "${run[@]}" tee /etc/apt/sources.list.d/kovos.sources >/dev/null
  for suite in "${suites[@]}"; do
    printf 'Package: *\nPin: release n=%s\nPin-Priority: %s\n\n' "$suite" "$([ "$suite" = sid ] && echo 100 || echo 200)"
  done | "${run[@]}" tee /etc/apt/preferences.d/kovos >/dev/null
  if ! "${run[@]}" apt-get update -q; then
    "${run[@]}" rm -f /etc/apt/sources.list.d/kovos.sources /etc/apt/preferences.d/kovos  # they would stop later updates
    die "the package lists of Debian ${suites[*]} cannot be had from this machine's mirror (see above): build Kokkos >= 4.6 yourself and set CMAKE_PREFIX_PATH"
  fi
  if [ $newer_libc = yes ]; then install -t trixie libc6-dev libstdc++6 libgomp1; fi
  install libkokkos-dev/sid 'libkokkos5.2/sid' libeigen3-dev/sid libxtensor-dev/sid xtl-dev/sid doctest-dev/sid
fi

for archive in $(forgotten_archives); do
  say "adding the empty $archive"
  "${run[@]}" ar rcs "$archive"
done
if [ $cuda = no ]; then say "done"; fi
finish
