#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs Kovos and PyTorch in turn on the same work and prints both, with their ratio.

    python3 bench/compare.py --bench build/bench/bin/kovos_segment_bench --weights FILE... --out DIR [--peak GFLOPS]
                             [--cases 20:whole,150:whole,150:sliding] [--pairs 2] [--python /usr/bin/python3] [--blas FILE]

Each case is `pairs` pairs of (Kovos, PyTorch, PyTorch with an allocator that keeps freed memory), each program in a process of
its own, so that a machine that slows down slows all of them; a figure is the median over the pairs. PyTorch runs the authors'
operations (bench/peers/pytorch_cat_seg.py). Without PyTorch the figures of bench/peers/recorded.json are quoted and named so.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
STAGES = {"text_encoder": ["text encoder"], "image_encoder": ["image encoder"], "spatial_aggregation": ["spatial aggregation"],
          "class_aggregation": ["class aggregation"], "decoder": ["decoder"]}


def run_kovos(options, weights, classes, window, precision, path):
    command = [options.bench, weights, "--classes", classes, "--window", window, "--precision", precision,
               "--repetitions", options.repetitions, "--json", str(path)]
    if options.peak:
        command += ["--peak", options.peak]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    r = json.loads(path.read_text())["results"][0]
    by_name = {s["stage"]: s["seconds"] for s in r["stages"]}
    seconds = {key: sum(by_name[name] for name in names) for key, names in STAGES.items()}
    seconds["total"] = r["total"]["seconds"]
    return {"seconds": seconds, "peak_rss_bytes": r["peak_rss_bytes"]}


def run_pytorch(options, weights, classes, window, precision, keep):
    environment = dict(os.environ)
    if options.blas:
        folder = str(pathlib.Path(options.blas).resolve().parent)
        environment["LD_LIBRARY_PATH"] = folder + os.pathsep + environment.get("LD_LIBRARY_PATH", "")
    command = [options.python, str(HERE / "peers/pytorch_cat_seg.py"), "--weights", weights, "--classes", classes, "--window",
               window, "--precision", precision, "--repetitions", options.repetitions] + (["--keep-memory"] if keep else [])
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, text=True, check=False)
    if done.returncode != 0:
        print(f"compare: PyTorch ended with code {done.returncode} ({classes} classes, {window}); out of memory?", file=sys.stderr)
        return None
    return json.loads(done.stdout)


def has_pytorch(python):
    return subprocess.run([python, "-c", "import torch, numpy"], stderr=subprocess.DEVNULL, check=False).returncode == 0


def median(runs, key):
    return statistics.median(run["seconds"][key] for run in runs)


def row(name, classes, window, runs, base=None):
    cells = [name, classes, window] + [f"{median(runs, key):.2f}" for key in STAGES] + [f"{median(runs, 'total'):.2f}"]
    cells.append("" if base is None else f"{median(runs, 'total') / median(base, 'total'):.2f}")
    cells.append(f"{statistics.median(run['peak_rss_bytes'] for run in runs) / 1e9:.2f} GB")
    print("| " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", required=True, help="the program kovos_segment_bench")
    parser.add_argument("--weights", required=True, nargs="+")
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--cases", default="20:whole,150:whole,150:sliding")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--repetitions", default="2", help="runs per process, median; Kovos warms up once more")
    parser.add_argument("--peak", default="")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--blas", help="the OpenBLAS that PyTorch shall load, if it is not the system's")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    measured = has_pytorch(options.python)
    recorded = json.loads((HERE / "peers/recorded.json").read_text())
    if not measured:
        print(f"PyTorch is not installed for {options.python}; its rows are recorded figures from another machine: "
              f"{recorded['machine']}.\n")
    print("| program | classes | window | " + " | ".join(key.replace("_", " ") for key in STAGES) +
          " | total, s | total / Kovos | peak memory |\n" + "| --- " * (len(STAGES) + 6) + "|")
    records, peer = [], None
    for weights in options.weights:
        for case in options.cases.split(","):
            classes, window = case.split(":")
            runs = {"kovos": [], "pytorch": [], "pytorch_keep": []}
            for pair in range(options.pairs):
                path = options.out / f"{pathlib.Path(weights).stem}-{classes}-{window}-{options.precision}-{pair}.json"
                runs["kovos"].append(run_kovos(options, weights, classes, window, options.precision, path))
                if measured:
                    for name, keep in (("pytorch", False), ("pytorch_keep", True)):
                        result = run_pytorch(options, weights, classes, window, options.precision, keep)
                        if result:
                            runs[name].append(result)
                            peer = result
            model = pathlib.Path(weights).stem
            row(f"Kovos, {model}", classes, window, runs["kovos"])
            for name, words in (("pytorch", "PyTorch"), ("pytorch_keep", "PyTorch, keeps freed memory")):
                if runs[name]:
                    row(words, classes, window, runs[name], runs["kovos"])
            if not measured:
                for r in recorded["rows"]:
                    if (str(r["classes"]), r["window"]) == (classes, window) and "b16" in model:
                        row("recorded: " + r["program"], classes, window, [r], None)
            records.append({"weights": model, "classes": int(classes), "window": window, "runs": runs})
    if peer:
        print(f"\n{peer['program']}, {', '.join(peer['blas'])}, {peer['matrix_gflops']:.0f} GFLOP/s for a large product, "
              f"{peer['threads']} threads; {options.pairs} pairs in turn, {options.precision}.")
    (options.out / f"compare-{options.precision}.json").write_text(json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    main()
