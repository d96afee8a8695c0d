#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The evaluation loop without the network, Kovos beside Pillow and NumPy, in turn.

    python3 bench/evaluate.py --bench build/bench/bin/kovos_evaluate_bench [--pictures 64] [--repetitions 5] [--folder DIR]

Makes pictures of ADE20K's size (683 x 512, JPEG of about 100 kB) with labels of 150 classes. Per picture, as detectron2's test
loader and evaluator: read and turn it by EXIF, resize it (short side 640, bilinear), channels first; read the label, score a
prediction that lies in memory. Left out to the peer's favour: conversion to tensors, the JSON of run lengths that detectron2's
evaluator makes of each prediction, its boundary IoU. Two forms of the peer: one process, and two processes that share the
pictures and send back nothing but their confusion matrices, which no loader with workers can beat. The ratio is to the faster.
The program stops if the confusion matrices differ in pixels or mean IoU. Needs Pillow and NumPy.
"""
import argparse
import json
import multiprocessing
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import PIL
from PIL import Image, ImageOps

CLASSES, HEIGHT, WIDTH = 150, 512, 683
IGNORE = 255


def make(folder, count):
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "annotations").mkdir(exist_ok=True)
    (folder / "classes.txt").write_text("".join(f"class {c}\n" for c in range(CLASSES)))
    sizes = []
    for i in range(count):
        random = np.random.default_rng(i)
        picture = np.zeros((HEIGHT, WIDTH, 3))
        for cells, strength in ((4, 70), (16, 40), (64, 18)):  # large shapes, then ever smaller ones
            small = random.normal(128, 50, (cells * HEIGHT // WIDTH + 1, cells, 3)).clip(0, 255).astype(np.uint8)
            large = Image.fromarray(small).resize((WIDTH, HEIGHT), Image.BICUBIC)
            picture += (np.asarray(large, float) - 128) * strength / 64
        picture += random.normal(0, 9, (HEIGHT, WIDTH, 1))
        path = folder / "images" / f"{i:05}.jpg"
        Image.fromarray((picture + 128).clip(0, 255).astype(np.uint8)).save(path, quality=90)
        sizes.append(path.stat().st_size)
        centres = random.integers(0, (HEIGHT, WIDTH), (30, 2))
        y, x = np.mgrid[:HEIGHT, :WIDTH]
        nearest = np.argmin([(y - a) ** 2 + (x - b) ** 2 for a, b in centres], axis=0)
        labels = random.integers(0, CLASSES, 30)[nearest].astype(np.uint8)
        labels[random.random((HEIGHT, WIDTH)) < 0.01] = IGNORE
        Image.fromarray(labels).save(folder / "annotations" / f"{i:05}.png")
    return sum(sizes) / count


def prediction_of(labels):
    """The labels shifted by a few columns and rows, as bench/evaluate_bench.cpp makes them."""
    shifted = np.roll(labels, (-3, -5), (0, 1)).astype(np.int64)
    shifted[shifted == IGNORE] = 0
    return shifted


def target_size(height, width, short=640, longest=2560):
    scale = short / min(height, width)
    scale = min(scale, longest / max(height, width))
    return int(height * scale + 0.5), int(width * scale + 0.5)


def evaluate(items):
    """items: (picture, label, prediction). -> confusion matrix, rows are predictions."""
    matrix = np.zeros((CLASSES + 1, CLASSES + 1), np.int64)
    for picture, label, prediction in items:
        with Image.open(picture) as file:
            image = np.asarray(ImageOps.exif_transpose(file).convert("RGB"))
        height, width = target_size(*image.shape[:2])
        image = np.asarray(Image.fromarray(image).resize((width, height), Image.BILINEAR))
        image = np.ascontiguousarray(image.transpose(2, 0, 1))
        truth = np.array(Image.open(label), dtype=int)
        truth[truth == IGNORE] = CLASSES
        matrix += np.bincount((CLASSES + 1) * prediction.reshape(-1) + truth.reshape(-1),
                              minlength=matrix.size).reshape(matrix.shape)
    return matrix


ITEMS = []  # the workers inherit it


def work(connection, part):
    """Starts when told, so that making the process is not measured."""
    while connection.recv():
        connection.send(evaluate(ITEMS[part::2]))


def mean_iou(matrix):
    kept = matrix[:-1, :-1]
    truth, guess, hits = kept.sum(0), kept.sum(1), kept.diagonal()
    present = truth > 0
    return (hits[present] / (truth + guess - hits)[present]).mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", required=True)
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(options.folder or scratch)
        size = make(folder, options.pictures)
        for i in range(options.pictures):
            label = folder / "annotations" / f"{i:05}.png"
            ITEMS.append((folder / "images" / f"{i:05}.jpg", label, prediction_of(np.asarray(Image.open(label)))))
        context = multiprocessing.get_context("fork")
        connections = []
        for part in range(2):
            mine, theirs = context.Pipe()
            context.Process(target=work, args=(theirs, part), daemon=True).start()
            connections.append(mine)
        one, two, kovos, floor = [], [], [], []
        for _ in range(options.repetitions):
            start = time.perf_counter()
            matrix = evaluate(ITEMS)
            one.append(time.perf_counter() - start)
            start = time.perf_counter()
            for connection in connections:
                connection.send(True)
            shared = sum(connection.recv() for connection in connections)
            two.append(time.perf_counter() - start)
            assert (shared == matrix).all()
            record = folder / "kovos.json"
            subprocess.run([options.bench, str(folder), "--repetitions", "1", "--threads", "2", "--json", str(record)],
                           check=True, stdout=subprocess.DEVNULL)
            found = json.loads(record.read_text())
            if found["pixels"] != matrix[:-1, :-1].sum() or abs(found["mean_iou"] - mean_iou(matrix)) > 1e-12:
                sys.exit(f"evaluate: {found['pixels']} pixels, mean IoU {found['mean_iou']}; "
                         f"NumPy {matrix[:-1, :-1].sum()}, {mean_iou(matrix)}")
            kovos.append(found["milliseconds_per_picture"])
            floor.append(found["floor_milliseconds_per_picture"])
        for connection in connections:
            connection.send(False)
    one, two = ([1e3 * t / options.pictures for t in times] for times in (one, two))

    def median(values):
        return sorted(values)[len(values) // 2]

    def row(name, values, ratio=""):
        print(f"| {name} | {median(values):.2f} | {min(values):.2f} to {max(values):.2f} | {ratio} |")

    best = min(median(one), median(two))
    print(f"{options.pictures} pictures of {WIDTH} x {HEIGHT}, {size / 1000:.0f} kB each, medians of {options.repetitions} runs in "
          f"turn; Pillow {PIL.__version__}, NumPy {np.__version__}, mean IoU equal\n")
    print("| program | ms per picture | from, to | / Kovos |\n| --- | --- | --- | --- |")
    row("Kovos, 2 threads", kovos)
    row("Pillow + NumPy, 1 process", one, f"{median(one) / median(kovos):.2f}")
    row("Pillow + NumPy, 2 processes", two, f"{median(two) / median(kovos):.2f}")
    row("floor: libjpeg alone, 2 threads", floor, f"{median(floor) / median(kovos):.2f}")
    print(f"\nthe faster peer / Kovos: {best / median(kovos):.2f}")


if __name__ == "__main__":
    main()
