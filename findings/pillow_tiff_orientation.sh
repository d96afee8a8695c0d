#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Pillow turns a TIFF by its orientation tag while it loads the pixels, and leaves PNG and JPEG as they are stored.
#
# np.asarray(Image.open(file)), by which detectron2's evaluator and most data loaders read labels, gives another array for
# the same pixels with the same tag 274 in the three formats: the TIFF comes turned, its tag is gone afterwards (so
# ImageOps.exif_transpose does nothing more), PNG and JPEG come as stored. OpenCV's IMREAD_UNCHANGED does the same.
# Whoever converts turned label PNGs to TIFF (ADE20K-847 and PASCAL-Context-459 are kept as TIFF because of their 16 bits)
# together with their metadata, or keeps pictures as JPEG and their labels as TIFF, compares a prediction with a truth that
# lies otherwise: for orientation 3 (180 degrees), and for any in square pictures, the sizes agree and nothing complains.
#
# Seen on 2026-11-28 with Pillow 13.0.0, NumPy 2.4.6, OpenCV 5.0.0.93 (headless) and Python 3.11. Exits with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 numpy==2.4.6 opencv-python-headless==5.0.0.93
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import cv2
import numpy as np
import PIL
from PIL import Image, ImageOps

print("Pillow", PIL.__version__, "OpenCV", cv2.__version__, "NumPy", np.__version__)
labels = np.arange(4, dtype=np.uint8).reshape(2, 2) * 60
exif = Image.Exif()
exif[274] = 3  # turned by 180 degrees
seen = {}
for name, options in (("tif", {}), ("png", {}), ("jpg", {"quality": 100})):
    Image.fromarray(labels).save(f"l.{name}", exif=exif, **options)
    stated = Image.open(f"l.{name}").getexif().get(274)
    array = np.asarray(Image.open(f"l.{name}")).astype(int)
    loaded = Image.open(f"l.{name}")
    loaded.load()
    opencv = cv2.imread(f"l.{name}", cv2.IMREAD_UNCHANGED).astype(int)
    near = lambda a, b: bool(np.abs(a - b.astype(int)).max() < 12)  # JPEG changes values a little
    seen[name] = (stated, near(array, labels[::-1, ::-1]), near(array, labels), loaded.getexif().get(274),
                  near(opencv, labels[::-1, ::-1]))
    print(f"{name}: states {stated}; np.asarray turned: {seen[name][1]}, as stored: {seen[name][2]}; "
          f"states after loading: {seen[name][3]}; OpenCV turned: {seen[name][4]}")
expected = {"tif": (3, True, False, None, True), "png": (3, False, True, 3, False), "jpg": (3, False, True, 3, False)}
if seen != expected:
    print("this is not what was seen before:", expected)
    sys.exit(1)
print("as described")
PYTHON
