# SPDX-License-Identifier: Apache-2.0
"""Writes tests/data/tiff: tiny TIFFs of every kind, what Pillow makes of them, and what they hold.

    pip install pillow==13.0.0 numpy tifffile==2026.3.3 imagecodecs==2026.3.6 safetensors
    python3 tests/reference/make_tiffs.py

expected.safetensors holds, per file, `rgb/NAME` (Pillow, orientation applied, converted to RGB), `labels/NAME`
(np.asarray of Pillow's picture) where Pillow reads the file as one band, and `samples/NAME` [height, width, bands] as
they were written. Pillow's and tifffile's versions stand in its metadata.
"""
import io
import pathlib
import struct

import numpy as np
import PIL
import tifffile
from PIL import Image, ImageOps
from safetensors.numpy import save_file

FOLDER = pathlib.Path(__file__).parent.parent / "data" / "tiff"
H, W = 21, 37


def packed(array, bits, photometric, palette=None):
    """A little-endian TIFF with samples of less than 8 bits, one strip."""
    rows = b"".join(np.packbits(np.unpackbits(row[:, None], axis=1)[:, 8 - bits:].ravel()).tobytes() for row in array)
    tags = [(256, 3, W), (257, 3, H), (258, 3, bits), (259, 3, 1), (262, 3, photometric), (273, 4, None), (277, 3, 1),
            (278, 3, H), (279, 4, len(rows))]
    if palette is not None:
        tags.append((320, 3, palette))
    start = 8 + 2 + 12 * len(tags) + 4
    extra = b"" if palette is None else palette.astype("<u2").T.tobytes()
    out = b"II*\0" + struct.pack("<IH", 8, len(tags))
    for tag, kind, value in tags:
        count = 1
        if tag == 273:
            value = start + len(extra)
        if tag == 320:
            count, value = palette.size, start
        out += struct.pack("<HHI", tag, kind, count) + (struct.pack("<HH", value, 0) if kind == 3 and count == 1
                                                         else struct.pack("<I", value))
    return out + struct.pack("<I", 0) + extra + rows


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    random = np.random.Generator(np.random.PCG64(11))
    rgb = random.integers(0, 256, (H, W, 3), dtype=np.uint8)
    smooth = np.stack([np.add.outer(np.arange(H) * 5, np.arange(W) * 3 + 9 * c) for c in range(3)], -1).astype(np.uint8)
    rgb16 = random.integers(0, 65536, (H, W, 3), dtype=np.uint16)
    grey16 = random.integers(0, 600, (H, W), dtype=np.uint16)
    labels8 = random.integers(0, 150, (H, W), dtype=np.uint8)
    labels8[3, 5] = 255
    many = random.integers(0, 65536, (H, W, 5), dtype=np.uint16)
    files, samples = {}, {}

    def write(name, array, **options):
        buffer = io.BytesIO()
        options.setdefault("photometric", "rgb" if array.ndim == 3 and 3 in (array.shape[0], array.shape[2]) else "minisblack")
        options.setdefault("metadata", None)
        options.setdefault("software", False)
        tifffile.imwrite(buffer, array, **options)
        files[name] = buffer.getvalue()
        held = np.moveaxis(array, 0, -1) if options.get("planarconfig") == "separate" else array
        if options.get("photometric") not in ("ycbcr",) and options.get("compression") != "jpeg":
            samples[name] = held.reshape(H, W, -1)

    write("rgb.tif", rgb)
    write("rgb_deflate_tiled.tif", rgb, compression="zlib", tile=(16, 16))
    write("rgb_lzw_predictor.tif", rgb, compression="lzw", predictor=2, rowsperstrip=4)
    write("rgb_packbits.tif", rgb, compression="packbits", rowsperstrip=5)
    write("rgb_zstd.tif", rgb, compression="zstd")
    write("rgb_planar.tif", np.moveaxis(rgb, -1, 0), planarconfig="separate")
    write("rgb_planar_tiled.tif", np.moveaxis(rgb, -1, 0), planarconfig="separate", tile=(16, 32), compression="zlib")
    write("rgb_big_endian.tif", rgb, byteorder=">")
    write("rgb_bigtiff.tif", rgb, bigtiff=True, tile=(16, 16))
    write("rgb_jpeg.tif", smooth, compression="jpeg", compressionargs={"level": 95}, rowsperstrip=16)
    write("rgba.tif", np.dstack([rgb, rgb[:, :, :1]]), photometric="rgb", extrasamples=["unassalpha"])
    write("grey_alpha.tif", rgb[:, :, :2], photometric="minisblack", extrasamples=["unassalpha"], planarconfig="contig")
    write("rgb16.tif", rgb16)
    write("rgb16_big_endian.tif", rgb16, byteorder=">", rowsperstrip=7)
    write("grey.tif", labels8)
    write("grey_inverted.tif", labels8, photometric="miniswhite")
    write("grey16.tif", grey16)
    write("grey16_big_endian_tiled.tif", grey16, byteorder=">", tile=(16, 16), compression="zlib", predictor=2)
    write("grey16_bigtiff.tif", grey16, bigtiff=True, compression="lzw")
    write("grey_s16.tif", grey16.astype(np.int16))
    write("grey_u32.tif", grey16.astype(np.uint32))
    write("grey_s32.tif", grey16.astype(np.int32))
    write("grey_float.tif", (grey16 % 256).astype(np.float32))
    write("grey_float_predictor.tif", (grey16 % 256).astype(np.float32), predictor=3, compression="zlib")
    write("grey_double.tif", (grey16 % 256).astype(np.float64))
    write("grey_s8.tif", (labels8 % 100).astype(np.int8))
    write("five_bands_16.tif", many, photometric="minisblack", planarconfig="contig", compression="zlib")
    write("five_bands_16_planar_tiled.tif", np.moveaxis(many, -1, 0), photometric="minisblack", planarconfig="separate",
          tile=(16, 16), byteorder=">")
    write("three_equal.tif", np.dstack([labels8] * 3))
    colormap = np.zeros((3, 256), np.uint16)
    colormap[:, :150] = random.integers(0, 65536, (3, 150))
    write("palette.tif", labels8, photometric="palette", colormap=colormap, compression="zlib")
    for orientation in range(2, 9):
        write(f"orientation{orientation}.tif", rgb, extratags=[(274, 3, 1, orientation, True)])
    write("grey_orientation6.tif", labels8, extratags=[(274, 3, 1, 6, True)])
    small = random.integers(0, 16, (H, W), dtype=np.uint8)
    for bits in (1, 2, 4):
        files[f"grey_{bits}bit.tif"] = packed(small % 2**bits, bits, 1)
        files[f"grey_{bits}bit_inverted.tif"] = packed(small % 2**bits, bits, 0)
        files[f"palette_{bits}bit.tif"] = packed(small % 2**bits, bits, 3, random.integers(0, 65536, (2**bits, 3)))
        for kind in (f"grey_{bits}bit", f"grey_{bits}bit_inverted", f"palette_{bits}bit"):
            samples[kind + ".tif"] = (small % 2**bits)[:, :, None]
    geo = [(33550, 12, 3, (10.0, 10.0, 0.0), True), (33922, 12, 6, (0.0, 0.0, 0.0, 399960.0, 5900040.0, 0.0), True),
           (34735, 3, 16, (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32632), True),
           (42113, 2, 0, "0", True)]
    write("georeferenced.tif", rgb, tile=(16, 16), extratags=geo)

    expected = {}
    for name, content in sorted(files.items()):
        (FOLDER / name).write_bytes(content)
        if name in samples:
            expected["samples/" + name] = np.ascontiguousarray(samples[name])
        try:
            image = Image.open(io.BytesIO(content))
            array = np.asarray(image)
            said = f"{image.mode} {array.dtype} {array.shape}"
            if array.ndim == 2 and array.dtype != bool:
                expected["labels/" + name] = np.ascontiguousarray(array)
            turned = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
            expected["rgb/" + name] = np.ascontiguousarray(np.asarray(turned.convert("RGB")))
        except Exception as error:  # noqa: BLE001: whatever it is, it is what a user of Pillow meets
            said = (said + "; " if "said" in dir() else "") + f"{type(error).__name__}: {error}"
        print(f"{name:32} {said}")
        said = ""
    save_file(expected, FOLDER / "expected.safetensors",
              metadata={"pillow": PIL.__version__, "tifffile": tifffile.__version__, "numpy": np.__version__})


if __name__ == "__main__":
    main()
