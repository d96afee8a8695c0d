# SPDX-License-Identifier: Apache-2.0
"""Makes small data sets in the layouts of docs/evaluation.md, with predictions and the scores that they must get.

    make_benchmarks.py FOLDER LAYOUT

writes FOLDER/data (what --data names), FOLDER/predictions and FOLDER/expected.json. Python's standard library alone; the
scores follow detectron2's SemSegEvaluator, pixel by pixel.
"""
import json
import pathlib
import random
import re
import struct
import sys
import zlib

NONE = None  # a pixel without a class


# ---- files --------------------------------------------------------------------------------------------------------

def png(path, rows, kind="grey", bits=8):
    """rows: lists of values, or of (r, g, b) for kind rgb. A palette has a colour of its own for each index."""
    code = {"grey": 0, "rgb": 2, "palette": 3}[kind]

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    raw = bytearray()
    for row in rows:
        raw.append(0)
        for value in row:
            raw += bytes(value) if kind == "rgb" else struct.pack(">H" if bits == 16 else ">B", value)
    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), bits, code, 0, 0, 0)
    palette = b""
    if kind == "palette":
        palette = chunk(b"PLTE", b"".join(bytes((i * 37 % 256, i * 101 % 256, i)) for i in range(256)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette +
                     chunk(b"IDAT", zlib.compress(bytes(raw))) + chunk(b"IEND", b""))


def tiff16(path, rows):
    """As Pillow writes uint16 labels."""
    height, width = len(rows), len(rows[0])
    data = b"".join(struct.pack(f"<{width}H", *row) for row in rows)
    tags = [(256, 3, width), (257, 3, height), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 4, 8 + 2 + 12 * 9 + 4),
            (278, 3, height), (279, 4, len(data)), (284, 3, 1)]
    directory = struct.pack("<H", len(tags))
    for tag, kind, value in tags:
        directory += struct.pack("<HHI", tag, kind, 1) + struct.pack("<I" if kind == 4 else "<HH", *([value] if kind == 4 else [value, 0]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<I", 0) + data)


def mat(path, rows):
    """MATLAB 5 with the variable LabelMap of uint16, compressed."""
    def element(code, data):
        return struct.pack("<II", code, len(data)) + data + b"\0" * (-len(data) % 8)
    height, width = len(rows), len(rows[0])
    values = struct.pack(f"<{height * width}H", *(rows[y][x] for x in range(width) for y in range(height)))
    body = element(6, struct.pack("<II", 11, 0)) + element(5, struct.pack("<ii", height, width))
    body += element(1, b"LabelMap") + element(4, values)
    packed = zlib.compress(struct.pack("<II", 14, len(body)) + body)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(116) + bytes(8) + struct.pack("<H", 0x0100) + b"IM" +
                     struct.pack("<II", 15, len(packed)) + packed)


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def picture(path, height, width):
    """PNG data whatever the name says: readers go by the content."""
    png(path, [[(x * 5 % 256, y * 7 % 256, 90) for x in range(width)] for y in range(height)], "rgb")


# ---- truth, predictions, scores -----------------------------------------------------------------------------------

class Made:
    def __init__(self, folder, names, classes, height=24, width=32, seen=None, ignored=True, mess=False):
        """Blocks of a few classes, some without one; predictions that are right for about two thirds. For MESS, absent
        classes that are predicted lower the mean."""
        generator = random.Random(len(names) * 1000 + classes)
        self.root = folder / "data"
        self.names, self.classes, self.truth, self.height, self.width = names, classes, {}, height, width
        used = seen or generator.sample(range(classes), min(classes, 12)) + [0, classes - 1]
        guesses, guessed = {}, used + ([classes - 2] if mess else [])
        for name in names:
            rows = [[NONE] * width for _ in range(height)]
            for y in range(0, height, 4):
                for x in range(0, width, 4):
                    label = NONE if ignored and generator.random() < 0.15 else generator.choice(used)
                    for dy in range(4):
                        rows[y + dy][x:x + 4] = [label] * 4
            self.truth[name] = rows
            guesses[name] = [[label if label is not NONE and generator.random() < 0.66 else generator.choice(guessed)
                              for label in row] for row in rows]
        self.finish(folder, guesses, mess)

    def finish(self, folder, guesses, mess):
        intersection, union, present = ([0] * self.classes for _ in range(3))
        right = total = 0
        for name in self.names:
            png(folder / "predictions" / f"{name}.png", guesses[name], bits=8 if self.classes < 255 else 16)
            for row, guess in zip(self.truth[name], guesses[name]):
                for t, p in zip(row, guess):
                    if t is NONE:
                        continue
                    total += 1
                    present[t] += 1
                    union[t] += 1
                    if t == p:
                        right += 1
                        intersection[t] += 1
                    else:
                        union[p] += 1
        scored = [c for c in range(self.classes) if present[c]]
        averaged = [c for c in range(self.classes) if union[c]] if mess else scored
        expected = {"pictures": len(self.names), "classes": len(scored), "pixel_accuracy": right / total,
                    "mean_iou": sum(intersection[c] / union[c] for c in averaged) / len(averaged)}
        if mess and self.classes == 2:
            expected |= {"sensitivity": intersection[1] / present[1], "specificity": intersection[0] / present[0]}
        text(folder / "expected.json", json.dumps(expected))

    def rows(self, name, rule):
        return [[rule(label) for label in row] for row in self.truth[name]]

    def pictures(self, pattern):
        for name in self.names:
            picture(self.root / pattern.format(name), self.height, self.width)

    def labels(self, pattern, rule, write=png, **options):
        for name in self.names:
            write(self.root / pattern.format(name), self.rows(name, rule), **options)


def or_else(none, shift=0):
    return lambda label: none if label is NONE else label + shift


ADE = ["ADE_val_00000001", "ADE_val_00000002"]
VOC = ["2007_000033", "2007_000042"]
CONTEXT = ["2008_000002", "2008_000003"]
COCO_VALUES = [v for v in range(182) if v not in (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)]
CONTEXT_59 = [2, 9, 18, 19, 22, 23, 25, 31, 33, 34, 44, 45, 46, 59, 65, 68, 72, 80, 85, 98, 104, 105, 113, 115, 144, 158,
              159, 162, 187, 189, 207, 220, 232, 258, 259, 260, 284, 295, 296, 308, 324, 326, 347, 349, 354, 355, 360,
              366, 368, 397, 415, 416, 420, 424, 427, 440, 445, 454, 458]
CITYSCAPES = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
# Of the 847 classes some, and ADE20K's numbers for them.
ADE_FULL = {0: 2978, 1: 312, 2: 2420, 3: 2855, 4: 2131, 11: 1831, 14: 401, 263: 6, 846: 3148}


def ade150(folder, published):
    made = Made(folder, ADE, 150)
    made.pictures("ADEChallengeData2016/images/validation/{}.jpg")
    if published:
        made.labels("ADEChallengeData2016/annotations/validation/{}.png", or_else(0, 1))
    else:
        made.labels("ADEChallengeData2016/annotations_detectron2/validation/{}.png", or_else(255))


def coco171(folder, published):
    made = Made(folder, ["000000000139", "000000000285"], 171)
    made.pictures("coco-stuff/images/val2017/{}.jpg")
    if published:
        made.labels("coco-stuff/annotations/val2017/{}.png", lambda c: 255 if c is NONE else COCO_VALUES[c])
    else:
        made.labels("coco-stuff/annotations_detectron2/val2017/{}.png", or_else(255))


def ade847(folder, published):
    made = Made(folder, ADE, 847, seen=list(ADE_FULL))
    if not published:
        made.pictures("ADE20K_2021_17_01/images_detectron2/validation/{}.jpg")
        made.labels("ADE20K_2021_17_01/annotations_detectron2/validation/{}.tif", or_else(65535), tiff16)
        return
    scenes = dict(zip(ADE, ("urban/street", "home_or_hotel/bedroom")))
    for name in ADE:
        place = made.root / "ADE20K_2021_17_01/images/ADE/validation" / scenes[name]
        picture(place / f"{name}.jpg", made.height, made.width)
        # Blue tells instances; 3157 is a number of none of the 847.
        numbers = made.rows(name, lambda c: 3157 if c is NONE else ADE_FULL[c])
        png(place / f"{name}_seg.png", [[(n // 256 * 10 + x % 10, n % 256, x) for x, n in enumerate(row)]
                                        for row in numbers], "rgb")
        text(place / f"{name}.json", "{}")


def pc459(folder, published):
    made = Made(folder, CONTEXT, 459, ignored=False)
    root = "VOCdevkit/VOC2010/"
    made.pictures(root + "JPEGImages/{}.jpg")
    picture(made.root / root / "JPEGImages/2008_999999.jpg", 8, 8)  # not in the list
    if published:
        made.labels(root + "trainval/{}.mat", or_else(0, 1), mat)
        text(made.root / root / "pascalcontext_val.txt", "".join(f"{name}\n" for name in CONTEXT))
    else:
        made.labels(root + "annotations_detectron2/pc459_val/{}.tif", or_else(65535), tiff16)


def pc59(folder, published):
    made = Made(folder, CONTEXT, 59)
    root = "VOCdevkit/VOC2010/"
    made.pictures(root + "JPEGImages/{}.jpg")
    if not published:
        made.labels(root + "annotations_detectron2/pc59_val/{}.png", or_else(255))
        return
    images, segments = [], []
    for number, name in enumerate(CONTEXT):
        images.append({"file_name": f"{name}.jpg", "phase": "val", "image_id": number + 2008000002,
                       "height": made.height, "width": made.width})
        column_major = [made.truth[name][y][x] for x in range(made.width) for y in range(made.height)]
        for label in set(column_major):
            runs, inside = [0], False
            for value in column_major:
                if (value == label) != inside:
                    runs.append(0)
                    inside = not inside
                runs[-1] += 1
            category = 300 if label is NONE else CONTEXT_59[label]
            segments.append({"image_id": images[-1]["image_id"], "category_id": category,
                             "segmentation": {"size": [made.height, made.width], "counts": runs}})
    images.append({"file_name": "2008_000009.jpg", "phase": "train", "image_id": 9, "height": 4, "width": 4})
    text(made.root / root / "trainval_merged.json", json.dumps({"images": images, "annos_segmentation": segments}))


def voc(folder, published, background):
    made = Made(folder, VOC, 21 if background else 20)
    root = "VOCdevkit/VOC2012/"
    made.pictures(root + "JPEGImages/{}.jpg")
    picture(made.root / root / "JPEGImages/2007_999999.jpg", 8, 8)  # not in the list
    if not published:
        made.labels(root + f"annotations_detectron2{'_bg' if background else ''}/val/{{}}.png", or_else(255))
        return
    text(made.root / root / "ImageSets/Segmentation/val.txt", "".join(f"{name}\n" for name in VOC))

    def rule(label):
        if label is NONE:
            return 255
        return 0 if label == 20 else label + 1
    made.labels(root + "SegmentationClassAug/{}.png", rule, kind="palette")


def cityscapes(folder, kind):
    names = ["frankfurt_000000_000294", "munster_000001_000019"]
    made = Made(folder, names, 19)
    for name in names:
        city = name.split("_")[0]
        picture(made.root / f"cityscapes/leftImg8bit/val/{city}/{name}_leftImg8bit.png", made.height, made.width)
        rule = or_else(255) if kind == "labelTrainIds" else lambda c: 3 if c is NONE else CITYSCAPES[c]
        png(made.root / f"cityscapes/gtFine/val/{city}/{name}_gtFine_{kind}.png", made.rows(name, rule))


def mapillary(folder):
    made = Made(folder, ["aaaa_-b", "cccc"], 65)
    made.pictures("mapillary_vistas/validation/images/{}.jpg")
    made.labels("mapillary_vistas/validation/labels/{}.png", or_else(65), kind="palette")


def documented_mess_sets():
    """Of docs/evaluation.md: by benchmark the number of classes and the patterns of pictures and labels."""
    page = (pathlib.Path(__file__).parents[2] / "docs/evaluation.md").read_text()
    rows = re.findall(r"^\| `(mess_\w+)` \| (\d+) \| `([^`]+/)`: `([^`]+)`, `([^`]+)` \|$", page, re.MULTILINE)
    return {name: (int(classes), *((root + pattern).replace("*", "{}") for pattern in patterns))
            for name, classes, root, *patterns in rows}


def mess(folder, classes, pictures, labels):
    made = Made(folder, ["frame_000321", "frame_000324"], classes, mess=True)
    made.pictures(pictures)
    made.labels(labels, or_else(255))


LAYOUTS = {
    "ade150-prepared": lambda f: ade150(f, False), "ade150-published": lambda f: ade150(f, True),
    "ade847-prepared": lambda f: ade847(f, False), "ade847-published": lambda f: ade847(f, True),
    "pc59-prepared": lambda f: pc59(f, False), "pc59-published": lambda f: pc59(f, True),
    "pc459-prepared": lambda f: pc459(f, False), "pc459-published": lambda f: pc459(f, True),
    "voc20-prepared": lambda f: voc(f, False, False), "voc20-published": lambda f: voc(f, True, False),
    "voc20b-prepared": lambda f: voc(f, False, True), "voc20b-published": lambda f: voc(f, True, True),
    "coco171-prepared": lambda f: coco171(f, False), "coco171-published": lambda f: coco171(f, True),
    "cityscapes-labelIds": lambda f: cityscapes(f, "labelIds"),
    "cityscapes-labelTrainIds": lambda f: cityscapes(f, "labelTrainIds"),
    "mapillary-published": mapillary,
}
for name, layout in documented_mess_sets().items():
    LAYOUTS[name + "-prepared"] = lambda f, layout=layout: mess(f, *layout)

if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1] == "--list":
        print("\n".join(LAYOUTS))
    elif len(sys.argv) == 3 and sys.argv[2] in LAYOUTS:
        LAYOUTS[sys.argv[2]](pathlib.Path(sys.argv[1]))
    else:
        sys.exit(__doc__)
