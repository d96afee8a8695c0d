# SPDX-License-Identifier: Apache-2.0
"""Times CAT-Seg's network, exported to ONNX, in OpenVINO or ONNX Runtime on the CPU; prints JSON.

    python3 bench/peers/exported_cat_seg.py --runtime openvino --weights cat_seg_b16.safetensors --classes 150 --views 5

What is timed is the network alone: normalised views of the picture and cached text in, logits out. Preparing the picture and
choosing labels are left out, text is not encoded. The logits are compared with PyTorch's once. The exported file is kept in
--folder and used again.
"""
import argparse
import json
import pathlib
import resource
import statistics
import sys
import time

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/reference"))
import cat_seg_reference  # noqa: E402
import safetensors_format  # noqa: E402
import seeded_weights  # noqa: E402


class ImageEncoder(torch.nn.Module):
    """Dense features and upsampled guidance, what Kovos calls the stage "image encoder"."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, views):
        model, grid = self.model, self.model.g["token_grid"]
        tokens, hooks = model.clip.visual(views, True, model.g["hooked_blocks"])
        hooks = [h[1:].permute(1, 2, 0).reshape(len(views), -1, grid, grid) for h in hooks]
        return tokens[:, 1:], model.upsample1(hooks[0]), model.upsample2(hooks[1])


class Network(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, views, text):
        return self.model.logits(views, text)


def geometry_of(weights):
    width = weights[seeded_weights.CLIP + "visual.conv1.weight"].shape[0]
    return seeded_weights.CAT_SEG_MODELS[{768: "vit_b16", 1024: "vit_l14_336"}[width]]


def export(weights, path, inputs):
    """Writes the network with these extents, and PyTorch's logits for the inputs beside it."""
    for kind in (torch.nn.Linear, torch.nn.Conv2d, torch.nn.ConvTranspose2d, torch.nn.Embedding):
        kind.reset_parameters = lambda self: None
    model = cat_seg_reference.CatSeg(geometry_of(weights)).load(weights).eval()
    with torch.no_grad():
        np.save(path.with_suffix(".npy"), Network(model)(*inputs).numpy())
        torch.onnx.export(ImageEncoder(model), inputs[:1], str(encoder_of(path)), input_names=["views"],
                          output_names=["tokens", "guide_0", "guide_1"], external_data=True, dynamo=True, verbose=False)
        torch.onnx.export(Network(model), inputs, str(path), input_names=["views", "text"], output_names=["logits"],
                          external_data=True, dynamo=True, verbose=False)


def encoder_of(path):
    return path.with_name(path.stem + "-encoder.onnx")


def openvino_runner(path, options):
    import openvino
    core = openvino.Core()
    kind = openvino.Type.bf16 if options.precision == "bf16" else openvino.Type.f32
    compiled = core.compile_model(str(path), "CPU", {
        openvino.properties.inference_num_threads(): options.threads,
        openvino.properties.hint.inference_precision(): kind,
        openvino.properties.hint.performance_mode(): openvino.properties.hint.PerformanceMode.LATENCY})
    request = compiled.create_infer_request()

    def run(inputs):
        return request.infer(inputs)[0]
    return run, "OpenVINO " + openvino.__version__.split("-")[0]


def onnxruntime_runner(path, options):
    import onnxruntime
    if options.precision == "bf16":
        sys.exit("exported_cat_seg: ONNX Runtime's CPU kernels have no bf16 graph of their own; compare fp32")
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])

    def run(inputs):
        return session.run(None, dict(zip(["views", "text"], inputs)))[0]
    return run, "ONNX Runtime " + onnxruntime.__version__


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runtime", required=True, choices=["openvino", "onnxruntime"])
    parser.add_argument("--weights", required=True, help="safetensors file, ViT-B/16 or ViT-L/14@336")
    parser.add_argument("--classes", type=int, default=150)
    parser.add_argument("--views", type=int, default=1, help="1 as whole, 5 as sliding")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repetitions", type=int, default=3, help="after one that is not counted; the median is given")
    parser.add_argument("--folder", type=pathlib.Path, required=True, help="for exported files; a GB or so each")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / f"{pathlib.Path(options.weights).stem}-{options.classes}-{options.views}.onnx"
    generator = np.random.Generator(np.random.PCG64(2))
    weights = safetensors_format.read(options.weights)
    g = geometry_of(weights)
    side = g["input_resolution"]
    views = generator.standard_normal((options.views, 3, side, side)).astype(np.float32)
    text = generator.standard_normal((options.classes, 1, g["embed"])).astype(np.float32)
    text /= np.linalg.norm(text, axis=-1, keepdims=True)
    if not path.with_suffix(".npy").exists() or not path.exists() or not encoder_of(path).exists():
        export(weights, path, (torch.from_numpy(views), torch.from_numpy(text)))
    expected = np.load(path.with_suffix(".npy"))
    runner = openvino_runner if options.runtime == "openvino" else onnxruntime_runner

    def measure(run, inputs):
        seconds = []
        for _ in range(options.repetitions):
            begin = time.perf_counter()
            run(inputs)
            seconds.append(time.perf_counter() - begin)
        return seconds

    run, _ = runner(encoder_of(path), options)
    run((views,))
    encoder = measure(run, (views,))
    del run
    begin = time.perf_counter()
    run, program = runner(path, options)
    load = time.perf_counter() - begin
    got = np.asarray(run((views, text)), np.float32)
    seconds = measure(run, (views, text))
    print(json.dumps({
        "program": program, "classes": options.classes, "views": options.views, "precision": options.precision,
        "threads": options.threads, "repetitions": options.repetitions, "load_seconds": round(load, 3),
        "largest_difference": float(np.abs(got - expected).max()), "largest_logit": float(np.abs(expected).max()),
        "labels_equal": float((got.argmax(1) == expected.argmax(1)).mean()),
        "seconds": {"image_encoder": round(statistics.median(encoder), 4), "network": round(statistics.median(seconds), 4)},
        "all_seconds": [round(s, 4) for s in seconds],
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


if __name__ == "__main__":
    main()
