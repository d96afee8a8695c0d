# SPDX-License-Identifier: Apache-2.0
"""Times CAT-Seg in plain PyTorch on the CPU and prints JSON: median seconds per stage and peak memory.

    python3 bench/peers/pytorch_cat_seg.py --weights cat_seg_b16.safetensors --classes 150 --window sliding

The operations are those of the authors' code: five windows as one batch, prompts of 77 positions, class lists padded to 256,
pooling 1. Weights come from a safetensors file of the official layout (`tests/reference/write_full_size.py` writes one).
"""
import argparse
import contextlib
import json
import os
import pathlib
import resource
import statistics
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/reference"))
import cat_seg_reference  # noqa: E402
import safetensors_format  # noqa: E402
import seeded_weights  # noqa: E402

START, END = 49406, 49407


def token_ids(options):
    if options.tokens:
        ids = np.loadtxt(options.tokens, np.int64, ndmin=2)[:options.classes]
        return torch.from_numpy(np.pad(ids, ((0, 0), (0, 77 - ids.shape[1]))))
    ids = np.zeros((options.classes, 77), np.int64)
    generator = np.random.Generator(np.random.PCG64(1))
    ids[:, :10] = generator.integers(300, 40000, (options.classes, 10))
    ids[:, 0], ids[:, 9] = START, END
    return torch.from_numpy(ids)


def without_initialisation():
    """The values come from the file; drawing initial ones first would only take time."""
    for kind in (torch.nn.Linear, torch.nn.Conv2d, torch.nn.ConvTranspose2d, torch.nn.Embedding):
        kind.reset_parameters = lambda self: None


def normalise_in_fp32():
    """PyTorch 1.13 refuses normalisation of bf16 values with fp32 gains; automatic casting on GPUs does this too."""
    def layer(self, x):
        return F.layer_norm(x.float(), self.normalized_shape, self.weight, self.bias, self.eps)

    def group(self, x):
        return F.group_norm(x.float(), self.num_groups, self.weight, self.bias, self.eps)
    torch.nn.LayerNorm.forward, torch.nn.GroupNorm.forward = layer, group


def matrix_speed():
    """GFLOP/s of a large fp32 product and the libraries behind it: PyTorch on a reference BLAS is no fair peer."""
    a = torch.rand(1024, 1024)
    a @ a
    begin = time.perf_counter()
    for _ in range(4):
        a @ a
    speed = 4 * 2 * 1024 ** 3 / (time.perf_counter() - begin) / 1e9
    with contextlib.suppress(OSError), open("/proc/self/maps", encoding="utf-8") as maps:
        return speed, sorted({line.split()[-1].split("/")[-1] for line in maps if "blas" in line or "mkl_rt" in line})
    return speed, []


class Stopwatch:
    """Sums the time spent in modules, by stage."""

    def __init__(self, model):
        self.times = {}
        aggregator, clip = model.aggregator, model.clip
        stages = {"image_encoder": [clip.visual, model.upsample1, model.upsample2],
                  "spatial_aggregation": [layer.swin_block for layer in aggregator.layers],
                  "class_aggregation": [layer.attention for layer in aggregator.layers],
                  "decoder": [aggregator.decoder1, aggregator.decoder2, aggregator.head]}
        for stage, modules in stages.items():
            for module in modules:
                module.register_forward_pre_hook(lambda *_: self.begin())
                module.register_forward_hook(lambda *_, stage=stage: self.end(stage))

    def begin(self):
        self.since = time.perf_counter()

    def end(self, stage):
        self.times[stage] = self.times.get(stage, 0.0) + time.perf_counter() - self.since


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True, help="safetensors file, ViT-B/16 or ViT-L/14@336")
    parser.add_argument("--classes", type=int, default=150)
    parser.add_argument("--tokens", help="text file, one row of ids per class; default: random prompts of 10 ids")
    parser.add_argument("--window", choices=["whole", "sliding"], default="whole")
    parser.add_argument("--size", type=int, nargs=2, default=[640, 640], metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="bf16: automatic mixed precision")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--keep-memory", action="store_true",
                        help="let the C library keep freed memory: fewer page faults, higher peak")
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    if options.keep_memory and "MALLOC_TRIM_THRESHOLD_" not in os.environ:
        os.environ.update(MALLOC_TRIM_THRESHOLD_=str(1 << 40), MALLOC_MMAP_THRESHOLD_=str(1 << 40), MALLOC_TOP_PAD_="0")
        os.execv(sys.executable, [sys.executable, *sys.argv])
    torch.set_num_threads(options.threads)
    without_initialisation()
    if options.precision == "bf16":
        normalise_in_fp32()
    speed, libraries = matrix_speed()
    if speed < 15 * options.threads:
        print(f"warning: {speed:.0f} GFLOP/s for a large fp32 product ({', '.join(libraries)}): install an optimised BLAS "
              "(libopenblas0-openmp on Debian) before comparing anything with these figures", file=sys.stderr)

    begin = time.perf_counter()
    weights = safetensors_format.read(options.weights)
    width = weights[seeded_weights.CLIP + "visual.conv1.weight"].shape[0]
    name = {768: "vit_b16", 1024: "vit_l14_336"}[width]
    model = cat_seg_reference.CatSeg(seeded_weights.CAT_SEG_MODELS[name]).load(weights)
    del weights
    load = time.perf_counter() - begin

    height, width = options.size
    generator = np.random.Generator(np.random.PCG64(2))
    image = torch.from_numpy(generator.integers(0, 256, (3, height, width)).astype(np.float32))
    tokens = token_ids(options)
    stopwatch = Stopwatch(model)
    mixed = torch.autocast("cpu", torch.bfloat16) if options.precision == "bf16" else contextlib.nullcontext()
    runs = []
    with torch.no_grad(), mixed:
        for _ in range(options.repetitions):
            stopwatch.times = {}
            begin = time.perf_counter()
            text = model.text_features(tokens)
            stopwatch.times["text_encoder"] = time.perf_counter() - begin
            call = model.sliding if options.window == "sliding" else model.whole
            call(image, text.float(), height, width).argmax(0)
            stopwatch.times["total"] = time.perf_counter() - begin
            runs.append(stopwatch.times)
    print(json.dumps({
        "program": "PyTorch " + torch.__version__, "model": name, "classes": options.classes, "window": options.window,
        "size": options.size, "precision": options.precision, "threads": options.threads,
        "repetitions": options.repetitions, "keep_memory": options.keep_memory, "matrix_gflops": round(speed, 1), "blas": libraries, "load_seconds": round(load, 3),
        "seconds": {stage: round(statistics.median(run[stage] for run in runs), 4) for stage in (
            "image_encoder", "text_encoder", "spatial_aggregation", "class_aggregation", "decoder", "total")},
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


if __name__ == "__main__":
    main()
