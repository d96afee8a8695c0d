#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Segments a made picture that is larger than what memory is wanted for, and prints the most memory that was resident.
#   bench/big_picture.sh KOVOS [SIDE [WINDOW [OVERLAP [LAYOUT]]]]
# KOVOS: the tool; SIDE of the picture, pixels (20000); WINDOW, pixels (1000); OVERLAP (0); LAYOUT: tiles or strips
# (tiles). Needs python3 and its standard library.
set -euo pipefail
tool=$1 side=${2:-20000} window=${3:-1000} overlap=${4:-0} layout=${5:-tiles}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

python3 - "$folder/big.tif" "$side" "$layout" <<'PYTHON'
import random
import struct
import sys
import zlib

path, side, layout = sys.argv[1], int(sys.argv[2]), sys.argv[3]
random.seed(1)
TILE = 256
# A few tiles of coloured patches with noise, laid out at random; Deflate, RGB, georeferenced, BigTIFF.
def tile():
    rows = [bytearray(3 * TILE) for _ in range(TILE)]
    for _ in range(40):
        color = [random.randrange(256) for _ in range(3)]
        top, left = random.randrange(TILE), random.randrange(TILE)
        height, width = random.randrange(8, 96), random.randrange(8, 96)
        for y in range(top, min(top + height, TILE)):
            n = min(width, TILE - left)
            rows[y][3 * left:3 * (left + n)] = bytes(color) * n
    for row in rows:
        for _ in range(64):
            row[random.randrange(3 * TILE)] = random.randrange(256)
    return rows

kinds = [tile() for _ in range(24)]
across = (side + TILE - 1) // TILE
plan = [[random.randrange(len(kinds)) for _ in range(across)] for _ in range(across)]
with open(path, "wb") as f:
    f.write(b"II+\0" + struct.pack("<HHQ", 8, 0, 0))
    offsets, counts = [], []
    if layout == "tiles":
        stored = [zlib.compress(b"".join(k), 6) for k in kinds]
        chunks = (stored[k] for row in plan for k in row)
    else:  # 16 rows in a strip
        def strips():
            for first in range(0, side, 16):
                rows = range(first, min(first + 16, side))
                yield zlib.compress(b"".join(b"".join(kinds[k][y % TILE] for k in plan[y // TILE])[:3 * side] for y in rows), 1)
        chunks = strips()
    for chunk in chunks:
        offsets.append(f.tell())
        counts.append(len(chunk))
        f.write(chunk)
    arrays = {}
    def array(code, values):
        place = f.tell()
        f.write(struct.pack(f"<{len(values)}{code}", *values))
        return len(values), place
    geo = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32632)
    tags = [(256, 4, 1, side), (257, 4, 1, side), (258, 3, 3, 8 | 8 << 16 | 8 << 32), (259, 3, 1, 8), (262, 3, 1, 2)]
    at, many = array("Q", offsets), array("Q", counts)
    if layout != "tiles":
        tags += [(273, 16, at[0], at[1])]
    tags += [(277, 3, 1, 3)]
    if layout != "tiles":
        tags += [(278, 4, 1, 16), (279, 16, many[0], many[1])]
    else:
        tags += [(322, 4, 1, TILE), (323, 4, 1, TILE), (324, 16, at[0], at[1]), (325, 16, many[0], many[1])]
    for tag, kind, (count, place) in ((33550, 12, array("d", (10, 10, 0))),
                                      (33922, 12, array("d", (0, 0, 0, 399960, 5900040, 0))),
                                      (34735, 3, array("H", geo))):
        tags.append((tag, kind, count, place))
    directory = f.tell()
    f.write(struct.pack("<Q", len(tags)))
    for tag, kind, count, value in tags:
        f.write(struct.pack("<HHQQ", tag, kind, count, value))
    f.write(struct.pack("<Q", 0))
    size = f.tell()
    f.seek(8)
    f.write(struct.pack("<Q", directory))
print(f"picture        {side} x {side} pixels in {layout}, {size / 1e6:.0f} MB on the disk, {3 * side * side / 1e6:.0f} MB decoded")
PYTHON

python3 - "$tool" "$folder" "$window" "$overlap" <<'PYTHON'
import json
import os
import resource
import subprocess
import sys
import time

tool, folder, window, overlap = sys.argv[1:]
start = time.time()
subprocess.run([tool, "segment", "--image", f"{folder}/big.tif", "--classes", "house,tree,sky,grass,road", "--output",
                f"{folder}/out", "--window", "native", "--window-size", window, "--overlap", overlap], check=True)
seconds = time.time() - start
used = resource.getrusage(resource.RUSAGE_CHILDREN)
told = json.load(open(f"{folder}/out/big.json"))
print(f"windows        {told['windows']['computed']} of {window} pixels, stride {told['windows']['stride']}")
print(f"labels         {os.path.getsize(folder + '/out/big.labels.tif') / 1e6:.1f} MB")
print(f"time           {seconds:.0f} s wall, {used.ru_utime + used.ru_stime:.0f} s of processors, {told['settings']['threads']} threads")
print("stages         " + ", ".join(f"{name} {value:.0f} s" for name, value in told["timings"].items()))
print(f"most resident  {used.ru_maxrss / 1024:.0f} MiB")
PYTHON
