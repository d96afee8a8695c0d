# SPDX-License-Identifier: Apache-2.0
"""Writes tests/data/images: tiny pictures of every kind, and what Pillow decodes them to.

    python3 tests/reference/make_images.py
"""
import io
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

import safetensors_format

FOLDER = pathlib.Path(__file__).parent.parent / "data" / "images"
H, W = 6, 9


def exif(orientation):
    data = Image.Exif()
    data[0x0112] = orientation
    return data.tobytes()


def png16(array, color):
    """A 16-bit PNG, which Pillow cannot write in colour."""
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    header = struct.pack(">IIBBBBB", array.shape[1], array.shape[0], 16, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    random = np.random.Generator(np.random.PCG64(7))
    rgb = random.integers(0, 256, (H, W, 3), dtype=np.uint8)
    smooth = np.stack([np.add.outer(np.arange(H) * 20, np.arange(W) * 11 + 9 * c) for c in range(3)], -1).astype(np.uint8)
    files = {}

    def save(name, image, **options):
        buffer = io.BytesIO()
        image.save(buffer, format="JPEG" if name.endswith("jpg") else "PNG", **options)
        files[name] = buffer.getvalue()

    picture = Image.fromarray(rgb)
    save("rgb.png", picture)
    save("rgba.png", Image.fromarray(np.dstack([rgb, rgb[:, :, :1]])))
    save("grey.png", picture.convert("L"))
    save("grey_alpha.png", picture.convert("LA"))
    save("palette.png", picture.quantize(7))
    save("palette_4bit.png", picture.quantize(7), bits=4)
    save("black_white.png", picture.convert("1"))
    files["grey16.png"] = png16(random.integers(0, 600, (H, W)), 0)
    files["rgb16.png"] = png16(random.integers(0, 65536, (H, W, 3)), 2)
    for orientation in range(1, 9):
        save(f"exif{orientation}.png", picture, exif=exif(orientation))
        save(f"exif{orientation}.jpg", Image.fromarray(smooth), exif=exif(orientation), quality=95)
    save("grey.jpg", Image.fromarray(smooth).convert("L"), quality=90)
    save("progressive.jpg", Image.fromarray(smooth), progressive=True, quality=80)
    save("cmyk.jpg", Image.fromarray(smooth).convert("CMYK"), quality=95)

    tensors = {}
    for name, content in files.items():
        (FOLDER / name).write_bytes(content)
        decoded = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
        tensors[name] = np.asarray(decoded)
    safetensors_format.write(FOLDER / "expected.safetensors", tensors)
    print(len(files), "pictures")


if __name__ == "__main__":
    main()
