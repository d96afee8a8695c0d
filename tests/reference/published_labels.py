# SPDX-License-Identifier: Apache-2.0
"""Writes tests/data/published: small label files as PASCAL Context and ADE20K publish them, and what they mean by the
rules of the authors' preparation scripts, worked out with SciPy, pycocotools and OpenCV.

    python3 tests/reference/published_labels.py        # made with SciPy 1.17.1, pycocotools 2.0.11, OpenCV 5.0.0
"""
import json
import pathlib
import struct
import zlib

import cv2
import numpy as np
import scipy.io
from PIL import Image
from pycocotools import mask

import safetensors_format

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "data" / "published"
CONTEXT_59 = [0, 2, 259, 260, 415, 324, 9, 258, 144, 18, 19, 22, 23, 397, 25, 284, 158, 159, 416, 33, 162, 420, 454, 295,
              296, 427, 44, 45, 46, 308, 59, 440, 445, 31, 232, 65, 354, 424, 68, 326, 72, 458, 34, 207, 80, 355, 85, 347,
              220, 349, 360, 98, 187, 104, 105, 366, 189, 368, 113, 115]


def mat(name, matrix, order, kind, store, compress):
    """A MATLAB 5 file as MATLAB writes it and SciPy cannot: of either byte order, numbers stored narrower than they
    are."""
    def element(code, data):
        if 0 < len(data) <= 4:
            word = struct.pack(order + "I", len(data) << 16 | code)
            return word + data.ljust(4, b"\0")
        return struct.pack(order + "II", code, len(data)) + data + b"\0" * (-len(data) % 8)
    codes = {"u1": 2, "u2": 4, "f8": 9}
    body = element(6, struct.pack(order + "II", kind, 0)) + element(5, struct.pack(order + "ii", *matrix.shape))
    body += element(1, name.encode()) + element(codes[store], matrix.astype(order + store).tobytes(order="F"))
    whole = struct.pack(order + "II", 14, len(body)) + body
    if compress:
        packed = zlib.compress(whole)
        whole = struct.pack(order + "II", 15, len(packed)) + packed
    mark = {"<": b"IM", ">": b"MI"}[order]
    return b"MATLAB 5.0 MAT-file".ljust(116) + b"\0" * 8 + struct.pack(order + "H", 0x0100) + mark + whole


def context_459(random, expected):
    labels = random.integers(1, 460, (13, 17)).astype(np.uint16)
    labels[0, 0], labels[12, 16] = 1, 459
    scipy.io.savemat(FOLDER / "plain.mat", {"LabelMap": labels})
    scipy.io.savemat(FOLDER / "compressed.mat", {"LabelMap": labels}, do_compression=True)
    others = {"text": "grass", "cell": np.array([1, "two"], object), "struct": {"a": 1.5}, "LabelMap2": labels[:2],
              "complex": np.array([[1 + 2j]]), "cube": np.zeros((2, 2, 2)), "sparse": scipy.sparse.csc_matrix(np.eye(3))}
    scipy.io.savemat(FOLDER / "among_others.mat", {**others, "LabelMap": labels}, do_compression=True)
    small = (labels % 200 + 1).astype(np.uint16)
    for name, order, kind, store, compress, values in (
            ("big_endian", ">", 11, "u2", False, labels), ("big_endian_compressed", ">", 11, "u2", True, labels),
            ("narrow", "<", 6, "u1", True, small), ("double", "<", 6, "f8", False, labels),
            ("tiny", "<", 9, "u1", False, small[:1, :3])):
        (FOLDER / f"{name}.mat").write_bytes(mat("LabelMap", values, order, kind, store, compress))
    for file in sorted(FOLDER.glob("*.mat")):
        expected[f"mat.{file.stem}"] = (scipy.io.loadmat(file)["LabelMap"].astype(np.uint16) - 1).astype(np.uint16)


def context_59(random, expected):
    table = np.sort(np.array(CONTEXT_59))
    key = np.arange(len(table)).astype(np.uint8) - 1
    images, segments = [], []
    for number in range(4):
        height, width = 11 + number, 19 - 3 * number
        images.append({"file_name": f"2008_00000{number}.jpg", "phase": "train" if number == 1 else "val",
                       "height": height, "width": width, "image_id": 2008000000 + number, "categories": [{"image_id": 3}]})
        for _ in range(0 if number == 3 else 6):
            shape = np.zeros((height, width), np.uint8)
            y, x = random.integers(0, height - 2), random.integers(0, width - 2)
            shape[y:y + random.integers(2, 9), x:x + random.integers(2, 9)] = 1
            shape &= (random.random(shape.shape) < 0.9).astype(np.uint8)
            rle = mask.encode(np.asfortranarray(shape))
            category = int(random.choice([0, 2, 9, 458, 115, 1, 300, 415, 25, 459]))
            segments.append({"image_id": images[-1]["image_id"], "category_id": category, "iscrowd": 0,
                             "parts": [{"category_id": 7, "segmentation": {"size": [1, 1], "counts": "?"}}],
                             "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()}})
    random.shuffle(segments)
    for image in images:
        painted = np.zeros((image["height"], image["width"]))
        for segment in segments:
            if segment["image_id"] == image["image_id"]:
                painted[np.nonzero(mask.decode(segment["segmentation"]))] = segment["category_id"]
        labels = np.full(painted.shape, 255, np.uint8)
        for original, train in zip(table, key):
            labels[painted == original] = train
        expected[f"detail.{image['file_name'][:-4]}"] = labels
    other = {"info": {"images": [{"image_id": 1}]}, "annos_boundary": [[1, 2, {"segmentation": 3}], None, 1.5, -2]}
    for name, text in (("detail.json", {**other, "images": images, "annos_segmentation": segments}),
                       ("detail_segments_first.json", {"annos_segmentation": segments, **other, "images": images})):
        (FOLDER / name).write_text(json.dumps(text) + "\n")
    # The same with run lengths as numbers.
    for segment in segments:
        shape = mask.decode(segment["segmentation"]).ravel(order="F")
        edges = np.flatnonzero(np.diff(np.concatenate([[0], shape]))).tolist()
        runs = np.diff([0] + edges + [shape.size]).tolist()
        assert mask.frPyObjects({"size": segment["segmentation"]["size"], "counts": runs}, 1, 1)["counts"].decode() == \
            segment["segmentation"]["counts"]
        segment["segmentation"]["counts"] = runs
    (FOLDER / "detail_numbers.json").write_text(json.dumps({"images": images, "annos_segmentation": segments}) + "\n")
    # Long runs, and differences of either sign.
    runs = [0, 1, 40, 3, 100000, 2, 70, 1, 16, 17, 15, 31, 32, 33, 4000000]
    rle = mask.frPyObjects({"size": [sum(runs), 1], "counts": runs}, sum(runs), 1)
    expected["rle.runs"] = np.array(runs, np.int32)
    expected["rle.text"] = np.frombuffer(rle["counts"], np.uint8)


def lcg_picture(height, width, seed):
    """Numbers that the C++ test makes again."""
    values, state = np.empty(height * width * 3, np.uint8), seed
    for i in range(values.size):
        state = (state * 1664525 + 1013904223) % 2 ** 32
        values[i] = state >> 24
    return values.reshape(height, width, 3)


def ade20k_full(random, expected):
    for i, (height, width, new_height, new_width) in enumerate([(23, 37, 11, 17), (9, 8, 5, 8), (12, 10, 7, 3), (6, 5, 1, 1),
                                                                (5, 7, 8, 13)]):
        picture = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        labels = random.integers(0, 847, (height, width)).astype(np.int32)
        size = (new_width, new_height)
        expected[f"resize.{i}.picture"], expected[f"resize.{i}.labels"] = picture, labels
        expected[f"resize.{i}.linear"] = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
        expected[f"resize.{i}.nearest"] = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    for height, width in ((520, 701), (641, 513)):
        picture = lcg_picture(height, width, height)
        if width >= height:
            new = 512, round(width / float(height) * 512)
        else:
            new = round(height / float(width) * 512), 512
        small = cv2.resize(picture, new[::-1], interpolation=cv2.INTER_LINEAR)
        crc = zlib.crc32(small.tobytes())
        print(f"{height} x {width}: {new[0]} x {new[1]}, crc {crc:#x}")
    sizes = [(512, 900), (513, 900), (900, 513), (513, 513), (400, 3000), (3000, 400), (683, 1024), (1024, 1537), (1025, 2051)]
    for height, width in sizes:
        new = (height, width)
        if width >= height > 512:
            new = 512, round(width / float(height) * 512)
        elif height >= width > 512:
            new = round(height / float(width) * 512), 512
        print("size", (height, width), new)
    objects = random.integers(0, 256, (6, 9, 3), dtype=np.uint8)
    known = [2978, 312, 3148, 6, 3156, 1098, 1832]  # wall, building, adding machine, ad, the last number, glass, none
    for i, number in enumerate(known):
        objects[1, i] = number // 256 * 10 + i, number % 256, i
    Image.fromarray(objects).save(FOLDER / "objects.png")
    expected["objects.numbers"] = (objects[:, :, 0] / 10).astype(np.int32) * 256 + objects[:, :, 1].astype(np.int32)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    numbers, found = np.random.default_rng(14), {}
    context_459(numbers, found)
    context_59(numbers, found)
    ade20k_full(numbers, found)
    safetensors_format.write(FOLDER / "expected.safetensors", found)
