#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A lossless PNG optimiser changes the classes of a grey label picture.
#
# oxipng at any level may store a grey picture with few values as a palette picture. Every shown colour stays, so it is
# lossless for the eye and for OpenCV, but np.asarray(Image.open(file)), by which evaluators read labels, then gives the
# places in the palette: labels 7, 8, 11, 21, 23, 24, 26 and 255 (some of Cityscapes' labelIds, and "none") become
# 0 to 7, "none" is a class, and nothing fails. Someone who shrinks a data set with such a tool gets other scores.
# Seen on 2026-11-28 with pyoxipng 9.1.1, Pillow 13.0.0 and NumPy 2.4.6. Without reductions the values stay.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pyoxipng==9.1.1 pillow==13.0.0 numpy==2.4.6
"$folder/env/bin/python" - <<'PYTHON'
import io

import numpy as np
import oxipng
import PIL
from PIL import Image

ids = np.array([7, 8, 11, 21, 23, 24, 26, 255], np.uint8)
labels = ids[np.random.default_rng(0).integers(0, 8, (16, 32))].repeat(16, 0).repeat(16, 1)
file = io.BytesIO()
Image.fromarray(labels).save(file, "PNG")


def read(content):
    picture = Image.open(io.BytesIO(content))
    return picture.mode, np.asarray(picture), np.asarray(picture.convert("L"))


print("Pillow", PIL.__version__)
print("as saved:   mode", *read(file.getvalue())[:1], "values", np.unique(labels))
for level in range(7):
    mode, values, shown = read(oxipng.optimize_from_memory(file.getvalue(), level=level))
    print(f"level {level}:    mode {mode} values {np.unique(values)}")
    assert mode == "P" and np.array_equal(np.unique(values), np.arange(8)), "the behaviour has changed"
    assert np.array_equal(shown, labels), "the colours have changed"
kept = oxipng.optimize_from_memory(file.getvalue(), bit_depth_reduction=False, color_type_reduction=False,
                                   palette_reduction=False, grayscale_reduction=False)
print("reductions off: mode", read(kept)[0], "values", np.unique(read(kept)[1]))
assert np.array_equal(read(kept)[1], labels), "the behaviour without reductions has changed"
PYTHON
