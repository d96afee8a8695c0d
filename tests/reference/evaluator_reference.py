# SPDX-License-Identifier: Apache-2.0
"""Writes tests/data/metrics: what the original evaluators say about made pictures.

    python3 tests/reference/evaluator_reference.py --detectron2 CLONE --boundary-iou-api CLONE --mess CLONE --mmsegmentation WHEEL

The clones are git repositories of facebookresearch/detectron2, bowenc0221/boundary-iou-api and blumenstiel/MESS, the wheel is
mmsegmentation's. Their files run as they are; what surrounds them (catalogues, logging, RLE, mmengine) is replaced by stand-ins
of a few lines. Needs NumPy, PyTorch, opencv-python-headless and Pillow. None of it is needed to build, test or use Kovos.
"""
import argparse
import importlib.metadata
import json
import logging
import math
import pathlib
import subprocess
import sys
import types
import zipfile

import numpy as np
import torch

OUT = pathlib.Path(__file__).resolve().parents[1] / "data" / "metrics"
DETECTRON2_NOW = "02b5c4e295e990042a714712c21dc79b731e8833"
DETECTRON2_BEFORE = "224cd2318fdb45b5e22bbb861ee9711ee52c8b75"  # the last one before f3c1bc19 of 2022-07-06
BOUNDARY_API = "37d25586a677b043ed585f10e5c42d4e80176ea9"
MESS = "cc701b5cac56b4c871397c21dd7a11b5f1bcdbe2"


def pictures(classes, height, width, cell, noise, seed, absent, ignore):
    """Ground truth and prediction in rectangles of `cell` with noise, as tests/metrics/evaluators_test.cpp draws them.
    A prediction of `classes` is none of the list."""
    state = [seed]

    def draw(n):
        state[0] = (state[0] * 1664525 + 1013904223) % 2 ** 32
        return (state[0] >> 16) % n

    columns = width // cell + 1
    blocks = [draw(classes) for _ in range((height // cell + 1) * columns)]
    truth, prediction = np.empty((height, width), int), np.empty((height, width), int)
    for y in range(height):
        for x in range(width):
            label = blocks[y // cell * columns + x // cell]
            truth[y, x] = ignore if label in absent else label
            if draw(11) == 0:
                truth[y, x] = ignore
            prediction[y, x] = draw(classes + 1) if draw(100) < noise else label
    return truth, prediction


CASES = [  # name, classes, pictures of (height, width, cell, noise, seed), classes that no ground truth has
    ("seven classes", 7, [(23, 31, 5, 40, 1), (40, 17, 6, 10, 2)], (4,)),
    ("two classes", 2, [(30, 45, 8, 20, 3)], ()),
    ("150 classes, most of them absent", 150, [(60, 80, 9, 30, 4), (64, 48, 7, 3, 5), (33, 90, 11, 60, 6)],
     tuple(range(0, 150, 2))),
    ("one class of several", 3, [(16, 16, 50, 0, 8)], ()),
]


def stand_in(name, **attributes):
    module = types.ModuleType(name)
    module.__dict__.update(attributes)
    sys.modules[name] = module
    return module


def run_source(text, name, package=""):
    module = types.ModuleType(name)
    module.__package__ = package
    sys.modules[name] = module
    exec(compile(text, name, "exec"), module.__dict__)  # the original's own file
    return module


def shown(clone, revision, path):
    return subprocess.run(["git", "-C", clone, "show", f"{revision}:{path}"], check=True, capture_output=True, text=True).stdout


class Catalog:
    def __init__(self):
        self.entries = {}

    def get(self, name):
        return self.entries[name]


DATASETS, METADATA = Catalog(), Catalog()


def surround_detectron2():
    for name, kind in (("int", int), ("float", float), ("bool", bool)):
        if not hasattr(np, name):
            setattr(np, name, kind)  # the files of 2022 use NumPy's aliases of that time
    stand_in("pycocotools")
    stand_in("pycocotools.mask", encode=lambda masks: [{"counts": b""}])
    sys.modules["pycocotools"].mask = sys.modules["pycocotools.mask"]
    stand_in("detectron2")
    stand_in("detectron2.data", DatasetCatalog=DATASETS, MetadataCatalog=METADATA)
    stand_in("detectron2.utils")
    stand_in("detectron2.utils.comm", all_gather=lambda x: [x], is_main_process=lambda: True, synchronize=lambda: None)
    stand_in("detectron2.utils.file_io", PathManager=types.SimpleNamespace(open=open))
    stand_in("detectron2.evaluation")
    stand_in("detectron2.evaluation.evaluator", DatasetEvaluator=object)


def evaluate_detectron2(evaluator_class, classes, data, ignore, metadata=None):
    """The evaluator's dictionary. Boundary sets are left out: it erodes label values, which is no boundary of a class."""
    names = [str(c) for c in range(classes)]
    DATASETS.entries["made"] = [{"file_name": str(i), "sem_seg_file_name": str(i)} for i in range(len(data))]
    METADATA.entries["made"] = types.SimpleNamespace(stuff_classes=names, ignore_label=ignore,
                                                     **(metadata or {}))
    evaluator = evaluator_class("made", distributed=False)
    evaluator.sem_seg_loading_fn = lambda name, dtype=None: data[int(name)][0].astype(dtype)
    evaluator._compute_boundary_iou = False
    evaluator.reset()
    for i, (_, prediction) in enumerate(data):
        one_hot = torch.nn.functional.one_hot(torch.from_numpy(prediction), classes + 1).permute(2, 0, 1)
        evaluator.process([{"file_name": str(i)}], [{"sem_seg": one_hot}])
    return evaluator.evaluate()["sem_seg"]


def plain(value):
    value = float(value)
    return None if math.isnan(value) else value


def of_detectron2(result, classes):
    found = {key: plain(result[key]) for key in ("mIoU", "fwIoU", "mACC", "pACC")}
    found["IoU"] = [plain(result[f"IoU-{c}"]) for c in range(classes)]
    found["ACC"] = [plain(result[f"ACC-{c}"]) for c in range(classes)]
    return found


def of_mess(result):
    return {key: plain(result[key]) for key in
            ("mIoU", "fwIoU", "mACC", "pACC", "CoI-mIoU", "CoI-mACC", "Sensitivity", "Specificity") if key in result}


def load_mmsegmentation(wheel):
    stand_in("mmengine")
    stand_in("mmengine.dist", is_main_process=lambda: True)

    class BaseMetric:
        def __init__(self, **_):
            self.results = []

    stand_in("mmengine.evaluator", BaseMetric=BaseMetric)
    stand_in("mmengine.logging", MMLogger=types.SimpleNamespace(get_current_instance=lambda: logging.getLogger()),
             print_log=lambda *_, **__: None)
    stand_in("mmengine.utils", mkdir_or_exist=None)
    stand_in("prettytable", PrettyTable=None)
    stand_in("mmseg")
    stand_in("mmseg.registry", METRICS=types.SimpleNamespace(register_module=lambda: lambda c: c))
    with zipfile.ZipFile(wheel) as archive:
        return run_source(archive.read("mmseg/evaluation/metrics/iou_metric.py").decode(), "iou_metric").IoUMetric


def evaluate_mmsegmentation(metric, classes, data, ignore):
    areas = [metric.intersect_and_union(torch.from_numpy(prediction), torch.from_numpy(truth), classes, ignore)
             for truth, prediction in data]
    result = metric.total_area_to_metrics(*[sum(area) for area in zip(*areas)], metrics=["mIoU", "mDice", "mFscore"])
    found = {"aAcc": plain(result["aAcc"])}
    for key in ("IoU", "Acc", "Dice", "Precision"):
        found[key] = [plain(v) for v in result[key]]
        found["m" + key] = plain(np.nanmean(result[key]))
    return found


def boundary_sets(mask_to_boundary, classes, data, ignore):
    """Per class and over all pictures: boundary pixels of ground truth, of prediction, of both; ignored pixels dropped."""
    counts = {"ground_truth": [0] * classes, "predicted": [0] * classes, "both": [0] * classes}
    for truth, prediction in data:
        kept = truth != ignore
        for c in range(classes):
            t = mask_to_boundary((truth == c).astype(np.uint8)).astype(bool) & kept
            p = mask_to_boundary((prediction == c).astype(np.uint8)).astype(bool) & kept
            counts["ground_truth"][c] += int(t.sum())
            counts["predicted"][c] += int(p.sum())
            counts["both"][c] += int((t & p).sum())
    return counts


BOUNDARY_SIZES = [(1, 1), (1, 9), (7, 1), (5, 5), (25, 25), (74, 20), (75, 100), (150, 200), (93, 240)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--detectron2", "--boundary-iou-api", "--mess", "--mmsegmentation"):
        parser.add_argument(name, required=True)
    options = parser.parse_args()
    surround_detectron2()
    path = "detectron2/evaluation/sem_seg_evaluation.py"
    package = "detectron2.evaluation"
    now = run_source(shown(options.detectron2, DETECTRON2_NOW, path), package + ".now", package).SemSegEvaluator
    before = run_source(shown(options.detectron2, DETECTRON2_BEFORE, path), package + ".before", package).SemSegEvaluator
    sys.modules[package].SemSegEvaluator = now
    mess_module = run_source(shown(options.mess, MESS, "mess/evaluation/sem_seg_evaluation.py"), "mess_evaluation")
    metric = load_mmsegmentation(options.mmsegmentation)
    boundary = run_source(shown(options.boundary_iou_api, BOUNDARY_API, "boundary_iou/utils/boundary_utils.py"), "boundary_utils")

    record = {"made_by": "tests/reference/evaluator_reference.py",
              "versions": {"detectron2": DETECTRON2_NOW, "detectron2 before f3c1bc19": DETECTRON2_BEFORE,
                           "MESS": MESS, "boundary-iou-api": BOUNDARY_API,
                           "mmsegmentation": pathlib.Path(options.mmsegmentation).name.split("-")[1],
                           **{m: importlib.metadata.version(m) for m in ("torch", "numpy", "opencv-python-headless")}},
              "cases": []}
    for name, classes, sizes, absent in CASES:
        ignore = 255
        data = [pictures(classes, *size, absent, ignore) for size in sizes]
        interest = [c for c in range(classes) if c % 3 == 1]
        mess = evaluate_detectron2(mess_module.MESSSemSegEvaluator, classes, data, ignore,
                                   {"classes_of_interest": interest})
        record["cases"].append({
            "name": name, "classes": classes, "pictures": sizes, "absent": absent, "ignore": ignore,
            "confusion": [[int(sum(np.count_nonzero((t == row) & (p == column)) for t, p in data))
                           for column in range(classes)] for row in range(classes)] if classes < 10 else None,
            "detectron2": of_detectron2(evaluate_detectron2(now, classes, data, ignore), classes),
            "detectron2_before_f3c1bc19": of_detectron2(evaluate_detectron2(before, classes, data, ignore), classes),
            "mess": {"classes_of_interest": interest, **of_mess(mess)},
            "mmsegmentation": evaluate_mmsegmentation(metric, classes, data, ignore),
            "boundary": boundary_sets(boundary.mask_to_boundary, classes, data, ignore),
        })
    record["boundaries"] = []
    for seed, (height, width) in enumerate(BOUNDARY_SIZES):
        case = {"height": height, "width": width, "cell": 37, "noise": 0, "seed": 20 + seed, "classes": 3}
        _, labels = pictures(3, height, width, case["cell"], case["noise"], case["seed"], (), 255)
        rows = np.zeros((height, width), int)
        for c in range(3):
            rows += boundary.mask_to_boundary((labels == c).astype(np.uint8))
        # One row after another, as lengths of runs; the first is of zeros.
        flat = rows.reshape(-1)
        ends = np.flatnonzero(np.diff(np.concatenate([[0], flat]))).tolist() + [flat.size]
        case["runs"] = np.diff([0] + ends).tolist()
        record["boundaries"].append(case)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "evaluators.json").write_text(json.dumps(record, separators=(",", ":"), allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
