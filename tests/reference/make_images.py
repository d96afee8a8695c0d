# SPDX-License-Identifier: Apache-2.0
"""Writes tests/data/images: tiny pictures and label files of every kind, and what Pillow decodes them to.

    python3 tests/reference/make_images.py

expected.safetensors holds the pictures as RGB, labels/expected.safetensors the labels as np.asarray(Image.open(file)),
both with Pillow's version. foreign/ has files that Kovos does not read. Needs Pillow, NumPy and imagecodecs.
"""
import io
import pathlib
import struct
import time
import zlib

import numpy as np
import PIL
from PIL import Image, ImageOps

import safetensors_format

FOLDER = pathlib.Path(__file__).parent.parent / "data" / "images"
H, W = 6, 9


def exif(orientation):
    data = Image.Exif()
    data[0x0112] = orientation
    return data.tobytes()


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(array, color, bits=16, before=(), after=()):
    """A PNG of any colour type and depth, with more chunks before and after the pixels."""
    height, width = array.shape[:2]
    if bits == 16:
        rows = [row.astype(">u2").tobytes() for row in array]
    elif bits == 8:
        rows = [row.astype(np.uint8).tobytes() for row in array]
    else:
        places = (np.unpackbits(array.astype(np.uint8)[..., None], axis=-1)[..., 8 - bits:].reshape(height, -1))
        rows = [np.packbits(row).tobytes() for row in places]
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunk(*c) for c in before) + pixels
            + b"".join(chunk(*c) for c in after) + chunk(b"IEND", b""))


XMP = (b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
       b'<rdf:Description tiff:Orientation="%d"/></rdf:RDF></x:xmpmeta>')


def segment(marker, body):
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def orientation_block(kind, value):
    """An EXIF block with the orientation as SHORT (3), LONG (4) or BYTE (1)."""
    body = struct.pack("<I", value)
    return b"Exif\0\0II*\0" + struct.pack("<IHHHI", 8, 1, 0x0112, kind, 1) + body + b"\0" * 4


def jpeg_oddities(plain, restarts):
    """Files of which libjpeg warns although no picture data is missing; what phones, cameras and editors write."""
    tables, scan, end = plain.index(b"\xff\xdb"), plain.index(b"\xff\xda"), len(plain) - 2
    parameters = scan + 2 + struct.unpack(">H", plain[scan + 2:scan + 4])[0] - 3
    mark = restarts.index(b"\xff\xd0")

    def added(at, what):
        return plain[:at] + what + plain[at:]
    adobe = b"Adobe" + struct.pack(">HHHB", 100, 0, 0, 9)
    assert plain[parameters:parameters + 3] == b"\0\x3f\0" and plain[6:11] == b"JFIF\0"
    return {
        "odd_between_segments.jpg": added(tables, b"\0\x12\x34"),
        "odd_between_segments_long.jpg": added(tables, bytes(range(200)) * 3),
        "odd_before_scan.jpg": added(scan, b"\0"),
        "odd_before_end.jpg": added(end, b"\0\0\0"),
        "odd_before_restart.jpg": restarts[:mark] + b"\x55" * 5 + restarts[mark:],
        "odd_after_end.jpg": plain + b"\0" * 40 + b"more",
        "odd_no_end.jpg": plain[:end] + b"\0" * 64,
        "odd_scan_parameters.jpg": plain[:parameters] + b"\0\0\0" + plain[parameters + 3:],
        "odd_scan_bits.jpg": plain[:parameters] + b"\0\x3f\x11" + plain[parameters + 3:],
        "odd_jfif_version.jpg": plain[:11] + b"\3\7" + plain[13:],
        "odd_adobe_transform.jpg": plain[:2] + segment(0xEE, adobe) + plain[tables:],
        "odd_fill_bytes.jpg": added(tables, b"\xff" * 5),
    }


def orientations(plain, rgb):
    """Orientations in every place where Pillow finds them."""
    profile = orientation_block(3, 6)
    text = b"\nexif\n%8d\n" % len(profile) + profile.hex().encode() + b"\n"
    xmp = b"http://ns.adobe.com/xap/1.0/\0"

    def jpeg(*bodies):
        return plain[:2] + b"".join(segment(0xE1, body) for body in bodies) + plain[2:]

    def picture(*chunks, after=()):
        return png(rgb, 2, 8, chunks, after)
    key = b"XML:com.adobe.xmp\0"
    return {
        "exif_long.jpg": jpeg(orientation_block(4, 8)),
        "exif_byte.jpg": jpeg(orientation_block(1, 8)),
        "exif_twice.jpg": jpeg(orientation_block(3, 6), orientation_block(3, 8)),
        "exif_none_xmp.jpg": jpeg(orientation_block(3, 0), xmp + XMP % 6),
        "xmp.jpg": jpeg(xmp + XMP % 6),
        "exif_before_xmp.jpg": jpeg(xmp + XMP % 6, orientation_block(3, 3)),
        "exif_marked.png": picture((b"eXIf", orientation_block(3, 6))),
        "exif_after.png": picture(after=[(b"eXIf", orientation_block(3, 6)[6:])]),
        "raw_profile.png": picture((b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))),
        "raw_profile_text.png": picture((b"tEXt", b"Raw profile type exif\0" + text)),
        "xmp.png": picture((b"iTXt", key + b"\0\0\0\0" + XMP % 5)),
        "xmp_deflated.png": picture((b"iTXt", key + b"\1\0en\0\0" + zlib.compress(XMP % 7))),
        "xmp_element.png": picture((b"iTXt", key + b"\0\0\0\0<tiff:Orientation>3</tiff:Orientation>")),
    }


def netpbm(random, rgb):
    def raw(kind, array, maximum, dtype):
        header = f"P{kind}\n# made by make_images.py\n{array.shape[1]} {array.shape[0]}\n{maximum}\n"
        return header.encode() + array.astype(dtype).tobytes()

    def plain(kind, array, maximum):
        words = " ".join(str(v) for v in array.reshape(-1))
        return f"P{kind} {array.shape[1]} {array.shape[0]}\n#c\n{maximum}\n{words}\n".encode()
    small, wide = random.integers(0, 32, (H, W, 3)), random.integers(0, 1024, (H, W, 3))
    bits = random.integers(0, 2, (H, W))
    return {
        "rgb.ppm": raw(6, rgb, 255, np.uint8), "rgb31.ppm": raw(6, small, 31, np.uint8),
        "rgb1023.ppm": raw(6, wide, 1023, ">u2"), "rgb65535.ppm": raw(6, wide * 64, 65535, ">u2"),
        "grey.pgm": raw(5, rgb[..., 0], 255, np.uint8), "grey100.pgm": raw(5, small[..., 0], 100, np.uint8),
        "grey1023.pgm": raw(5, wide[..., 0], 1023, ">u2"), "grey65535.pgm": raw(5, wide[..., 0], 65535, ">u2"),
        "plain.ppm": plain(3, small, 31), "plain.pgm": plain(2, wide[..., 0], 65535),
        "bits.pbm": f"P4 {W} {H}\n".encode() + np.packbits(bits, axis=1).tobytes(),
        "plain_bits.pbm": f"P1\n{W} {H}\n{''.join(str(b) for b in bits.reshape(-1))}\n".encode(),
    }


def labels(random):
    """Label files, and those that are refused (no value recorded)."""
    few, many = random.integers(0, 16, (H, W)), random.integers(0, 65536, (H, W))
    few[0, :3] = 0, 15, 1
    grey = few * 17
    palette = bytes(random.integers(0, 256, 48, dtype=np.uint8))

    def alpha(value):
        return np.full((H, W), value)
    mixed = np.dstack([grey, grey, grey])
    mixed[2, 5, 1] ^= 1
    clear = alpha(255)
    clear[1, 4] = 0
    taken = {
        "grey8.png": png(grey, 0, 8), "grey4.png": png(few, 0, 4), "grey2.png": png(few % 4, 0, 2),
        "grey16.png": png(many, 0), "grey16_with_255.png": png(np.where(few == 15, 255, few), 0),
        "grey8_transparent_colour.png": png(grey, 0, 8, [(b"tRNS", b"\0\x11")]),
        "palette8.png": png(few, 3, 8, [(b"PLTE", palette)]), "palette4.png": png(few, 3, 4, [(b"PLTE", palette)]),
        "palette2.png": png(few % 4, 3, 2, [(b"PLTE", palette[:12])]),
        "palette1.png": png(few % 2, 3, 1, [(b"PLTE", palette[:6])]),
        "palette_beyond.png": png(np.where(few == 15, 255, few), 3, 8, [(b"PLTE", palette)]),
        "palette_of_greys.png": png(few % 4, 3, 2, [(b"PLTE", bytes([3] * 3 + [90] * 3 + [151] * 3 + [255] * 3))]),
        "palette_black_white.png": png(few % 2, 3, 1, [(b"PLTE", bytes([0] * 3 + [255] * 3))]),
        "palette_own_greys.png": png(grey, 3, 8, [(b"PLTE", bytes(i for i in range(256) for _ in range(3)))]),
        "palette_transparent.png": png(few, 3, 8, [(b"PLTE", palette), (b"tRNS", b"\0\x80")]),
        "exif6.png": png(grey, 0, 8, [(b"eXIf", orientation_block(3, 6)[6:])]),
        "rgb.png": png(np.dstack([grey] * 3), 2, 8), "rgba.png": png(np.dstack([grey] * 3 + [alpha(255)]), 6, 8),
        "grey_alpha.png": png(np.dstack([grey, alpha(255)]), 4, 8),
    }
    refused = {
        "refused_grey1.png": png(few % 2, 0, 1), "refused_colours.png": png(mixed, 2, 8),
        "refused_clear.png": png(np.dstack([grey, clear]), 4, 8), "refused_rgb16.png": png(np.dstack([many] * 3), 2),
        "refused_grey_alpha16.png": png(np.dstack([many, many]), 4),
    }
    return taken, refused


def foreign(picture, smooth):
    """Files of other formats, and kinds of JPEG that libjpeg does not read."""
    import imagecodecs
    files = {}
    for ending, kind in {"gif": "GIF", "bmp": "BMP", "webp": "WEBP", "avif": "AVIF", "jp2": "JPEG2000", "tif": "TIFF",
                         "pdf": "PDF", "ico": "ICO"}.items():
        buffer = io.BytesIO()
        dates = {"creationDate": time.gmtime(0), "modDate": time.gmtime(0)} if kind == "PDF" else {}
        picture.save(buffer, format=kind, **dates)
        files["picture." + ending] = buffer.getvalue()
    grey = smooth[..., 0].copy()
    files["picture.jxl"] = imagecodecs.jpegxl_encode(smooth)
    files["picture_box.jxl"] = imagecodecs.jpegxl_encode(smooth, usecontainer=True)
    files["lossless8.jpg"] = imagecodecs.ljpeg_encode(grey)
    files["lossless16.jpg"] = imagecodecs.ljpeg_encode(grey.astype(np.uint16) * 257)
    files["twelve_bits.jpg"] = imagecodecs.jpeg8_encode(grey.astype(np.uint16) * 16, bitspersample=12)
    files["jpeg_ls.jpg"] = imagecodecs.jpegls_encode(grey)
    return files


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
    files["grey16.png"] = png(random.integers(0, 600, (H, W)), 0)
    files["rgb16.png"] = png(random.integers(0, 65536, (H, W, 3)), 2)
    for orientation in range(1, 9):
        save(f"exif{orientation}.png", picture, exif=exif(orientation))
        save(f"exif{orientation}.jpg", Image.fromarray(smooth), exif=exif(orientation), quality=95)
    save("grey.jpg", Image.fromarray(smooth).convert("L"), quality=90)
    save("progressive.jpg", Image.fromarray(smooth), progressive=True, quality=80)
    save("cmyk.jpg", Image.fromarray(smooth).convert("CMYK"), quality=95)

    larger = Image.fromarray(np.tile(smooth, (4, 4, 1)))
    buffers = io.BytesIO(), io.BytesIO()
    larger.save(buffers[0], format="JPEG", quality=90)
    larger.save(buffers[1], format="JPEG", quality=90, restart_marker_blocks=2)
    files["restarts.jpg"] = buffers[1].getvalue()
    files |= jpeg_oddities(buffers[0].getvalue(), buffers[1].getvalue())
    files |= orientations(files["exif1.jpg"][:2] + files["grey.jpg"][2:], rgb)
    files["grey_alpha16.png"] = png(random.integers(0, 65536, (H, W, 2)), 4)
    files |= netpbm(random, rgb)

    version = {"Pillow": PIL.__version__}
    tensors = {}
    for name, content in files.items():
        (FOLDER / name).write_bytes(content)
        decoded = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
        tensors[name] = np.asarray(decoded)
    safetensors_format.write(FOLDER / "expected.safetensors", tensors, version)

    (FOLDER / "labels").mkdir(exist_ok=True)
    taken, refused = labels(random)
    values = {}
    for name, content in (taken | refused).items():
        (FOLDER / "labels" / name).write_bytes(content)
        array = np.asarray(Image.open(io.BytesIO(content)))
        if name in taken:
            values[name] = (array if array.ndim == 2 else array[..., 0]).astype(np.uint16)
    safetensors_format.write(FOLDER / "labels" / "expected.safetensors", values, version)

    (FOLDER / "foreign").mkdir(exist_ok=True)
    others = foreign(picture, smooth)
    for name, content in others.items():
        (FOLDER / "foreign" / name).write_bytes(content)
    print(len(files), "pictures,", len(taken) + len(refused), "label files,", len(others), "of other formats")


if __name__ == "__main__":
    main()
