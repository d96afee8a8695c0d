#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kovos segment --window native as a user meets it.   native_windows_test.sh KOVOS WORK_FOLDER REPOSITORY
set -uo pipefail
kovos=$1 work=$2 tiff=$3/tests/data/tiff images=$3/tests/data/images
failures=0
unset KOVOS_HOME
mkdir -p "$work" && cd "$work" || exit 1
rm -rf out && mkdir out

# expect CODE SENTENCE ARGUMENTS...: exit code of kovos segment, and a part of what is said on either stream.
expect() {
  local code=$1 sentence=$2 said status
  shift 2
  said=$("$kovos" segment --classes "house,tree,sky" --output out "$@" 2>&1 </dev/null)
  status=$?
  if [ $status -ne "$code" ] || [[ $said != *"$sentence"* ]]; then
    failures=$((failures + 1))
    printf 'FAILED: %s\n  exit %s, expected %s; expected to read: %s\n  said: %s\n' "$*" $status "$code" "$sentence" "${said:0:600}"
  fi
}
exists() { for f in "$@"; do [ -s "$f" ] || { failures=$((failures + 1)); echo "FAILED: $f is missing"; }; done; }
absent() { for f in "$@"; do [ ! -e "$f" ] || { failures=$((failures + 1)); echo "FAILED: $f should not be there"; }; done; }
native=(--window native --window-size 16 --overlap 0.5)

# 21 x 37 pixels: 2 rows of 4 windows. However the samples lie in the file, the labels are the same to the byte.
expect 0 '"computed":8' --image "$tiff/rgb.tif" "${native[@]}" --json
exists out/rgb.labels.tif out/rgb.overlay.png out/rgb.json
absent out/rgb.labels.png
for name in rgb_deflate_tiled rgb_lzw_predictor rgb_packbits rgb_planar rgb_planar_tiled rgb_big_endian rgb_bigtiff; do
  expect 0 '' --image "$tiff/$name.tif" "${native[@]}"
  cmp -s out/rgb.labels.tif out/$name.labels.tif || { failures=$((failures + 1)); echo "FAILED: the labels of $name.tif are others"; }
done
# What is written is read again, as a picture.
expect 0 '' --image out/rgb.labels.tif "${native[@]}"

# Bands and ranges; a PNG is decoded whole and gives a PNG.
expect 0 'band 5, band 3, band 1, range 0.000000, range 65535.000000' --image "$tiff/five_bands_16_planar_tiled.tif" "${native[@]}" --bands 5,3,1 --range 0,65535 --json
expect 1 'there is no band 9, the picture has 5 bands' --image "$tiff/five_bands_16.tif" "${native[@]}" --bands 9
expect 0 '"window":"native"' --image "$images/rgb.png" --window native --json
exists out/rgb.labels.png
expect 1 '--bands and --range are for TIFF' --image "$images/rgb.png" "${native[@]}" --bands 3,2,1

# What makes no sense, and what cannot be read.
expect 2 'go with --window native' --image "$tiff/rgb.tif" --overlap 0.3
expect 2 'three bands (red, green, blue) or one, not 2' --image "$tiff/rgb.tif" "${native[@]}" --bands 1,2
expect 2 'a larger one of white' --image "$tiff/rgb.tif" "${native[@]}" --range 9,3
expect 2 '--scores' --image "$tiff/rgb.tif" "${native[@]}" --scores
expect 1 'its orientation is 6' --image "$tiff/orientation6.tif" "${native[@]}"
absent out/orientation6.labels.tif out/orientation6.json
head -c 1500 "$tiff/rgb.tif" > cut.tif
expect 1 'cut.tif: damaged TIFF' --image cut.tif "${native[@]}"
head -c 3 "$tiff/rgb.tif" > cut.tif
expect 1 'cut.tif' --image cut.tif "${native[@]}"
absent out/cut.labels.tif out/cut.overlay.png out/cut.json
# One that fails leaves the others.
rm -f out/rgb_planar.json
expect 1 'its orientation' --image "$tiff/orientation3.tif" "$tiff/rgb_planar.tif" "${native[@]}"
exists out/rgb_planar.json

if find out -name '*.partial' | grep -q .; then failures=$((failures + 1)); echo "FAILED: leftovers"; fi
echo "$failures failures"
[ $failures -eq 0 ]
