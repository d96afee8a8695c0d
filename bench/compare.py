#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs Kovos and PyTorch in turn on the same work and prints both, with their ratio.

    python3 bench/compare.py --bench build/bench/bin/kovos_segment_bench --weights FILE... --out DIR [--peak GFLOPS]
                             [--cases 20:whole,150:whole,150:sliding] [--pairs 2] [--python /usr/bin/python3] [--blas FILE]
                             [--peers pytorch,openvino,onnxruntime] [--install DIR]

--install makes a private environment with the newest PyTorch, OpenVINO and ONNX Runtime in DIR, if it is not there, and uses it.

Each case is `pairs` pairs of (Kovos, PyTorch, PyTorch with an allocator that keeps freed memory), each program in a process of
its own, so that a machine that slows down slows all of them; a figure is the median over the pairs. PyTorch runs the authors'
operations (bench/peers/pytorch_cat_seg.py); OpenVINO and ONNX Runtime run the network exported from there
(bench/peers/exported_cat_seg.py), without text, preparation of the picture and choice of labels: their ratio is to the same part
of Kovos, the column "network". A peer that is not installed is named. Without PyTorch the figures of bench/peers/recorded.json are quoted and named so.
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
OUTSIDE_NETWORK = {"text encoder", "preprocessing", "labels", "rest"}
MODULES = {"pytorch": "torch", "openvino": "openvino", "onnxruntime": "onnxruntime"}
EXPORTED = {"openvino": "OpenVINO", "onnxruntime": "ONNX Runtime"}


def run_kovos(options, weights, classes, window, precision, path):
    command = [options.bench, weights, "--classes", classes, "--window", window, "--precision", precision,
               "--repetitions", options.repetitions, "--json", str(path)]
    if options.peak:
        command += ["--peak", options.peak]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    r = json.loads(path.read_text())["results"][0]
    by_name = {s["stage"]: s["seconds"] for s in r["stages"]}
    seconds = {key: sum(by_name[name] for name in names) for key, names in STAGES.items()}
    seconds["network"] = sum(value for name, value in by_name.items() if name not in OUTSIDE_NETWORK)
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


def run_exported(options, runtime, weights, classes, window, precision):
    command = [options.python, str(HERE / "peers/exported_cat_seg.py"), "--runtime", runtime, "--weights", weights, "--classes",
               classes, "--views", "1" if window == "whole" else "5", "--precision", precision, "--repetitions",
               options.repetitions, "--folder", str(options.out / "exported")]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["out of memory?"])[-1]
        print(f"compare: {EXPORTED[runtime]} ended with code {done.returncode} ({classes} classes, {window}): {reason}",
              file=sys.stderr)
        return None
    result = json.loads(done.stdout.strip().splitlines()[-1])
    if precision == "fp32" and result["largest_difference"] > 1e-3 * result["largest_logit"]:
        sys.exit(f"compare: {EXPORTED[runtime]}'s logits differ from PyTorch's by {result['largest_difference']}: another network")
    return result


def installed(python, module):
    return subprocess.run([python, "-c", f"import {module}, numpy"], stderr=subprocess.DEVNULL, check=False).returncode == 0


def environment_in(folder):
    """The interpreter of a private environment with all peers; made if it is not there."""
    python = folder / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "numpy", "torch", "openvino", "onnx", "onnxscript",
                        "onnxruntime"], check=True)
    return str(python)


def median(runs, key):
    return statistics.median(run["seconds"][key] for run in runs)


def row(name, classes, window, runs, base=None):
    columns = [*STAGES, "network", "total"]
    cells = [name, classes, window] + [f"{median(runs, key):.2f}" if key in runs[0]["seconds"] else "" for key in columns]
    whole = "total" if "total" in runs[0]["seconds"] else "network"
    cells.append("" if base is None else f"{median(runs, whole) / median(base, whole):.2f}")
    spread = [run["seconds"][whole] for run in runs]
    cells.append(f"{min(spread):.2f} to {max(spread):.2f}")
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
    parser.add_argument("--peers", default="pytorch,openvino,onnxruntime")
    parser.add_argument("--install", type=pathlib.Path, metavar="DIR", help="environment for the peers")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.install:
        options.python = environment_in(options.install)
    peers = [peer for peer in options.peers.split(",") if installed(options.python, MODULES[peer])]
    for missing in sorted(set(options.peers.split(",")) - set(peers)):
        print(f"{missing} is not installed for {options.python} (--install DIR does it): no figures.")
    measured = "pytorch" in peers
    recorded = json.loads((HERE / "peers/recorded.json").read_text())
    quoted = not measured and "pytorch" in options.peers.split(",")
    if quoted:
        print(f"PyTorch is not installed for {options.python}; its rows are recorded figures from another machine: "
              f"{recorded['machine']}.\n")
    print("| program | classes | window | " + " | ".join(key.replace("_", " ") for key in STAGES) +
          " | network | total, s | / Kovos | from, to | peak memory |\n" + "| --- " * (len(STAGES) + 8) + "|")
    records, peer, programs = [], None, {}
    for weights in options.weights:
        for case in options.cases.split(","):
            classes, window = case.split(":")
            runs = {"kovos": [], "pytorch": [], "pytorch_keep": [], "openvino": [], "onnxruntime": []}
            for pair in range(options.pairs):
                path = options.out / f"{pathlib.Path(weights).stem}-{classes}-{window}-{options.precision}-{pair}.json"
                runs["kovos"].append(run_kovos(options, weights, classes, window, options.precision, path))
                if measured:
                    for name, keep in (("pytorch", False), ("pytorch_keep", True)):
                        result = run_pytorch(options, weights, classes, window, options.precision, keep)
                        if result:
                            runs[name].append(result)
                            peer = result
                for name in EXPORTED:
                    if name == "onnxruntime" and options.precision == "bf16":
                        continue  # its CPU kernels have no bf16
                    result = run_exported(options, name, weights, classes, window, options.precision) if name in peers else None
                    if result:
                        runs[name].append(result)
                        programs[name] = result["program"]
            model = pathlib.Path(weights).stem
            row(f"Kovos, {model}", classes, window, runs["kovos"])
            for name, words in (("pytorch", "PyTorch"), ("pytorch_keep", "PyTorch, keeps freed memory")):
                if runs[name]:
                    row(words, classes, window, runs[name], runs["kovos"])
            for name, words in EXPORTED.items():
                if runs[name]:
                    row(words, classes, window, runs[name], runs["kovos"])
            if quoted:
                for r in recorded["rows"]:
                    if (str(r["classes"]), r["window"]) == (classes, window) and "b16" in model:
                        row("recorded: " + r["program"], classes, window, [r], None)
            records.append({"weights": model, "classes": int(classes), "window": window, "runs": runs})
    if peer:
        print(f"\n{peer['program']}, {', '.join(peer['blas'])}, {peer['matrix_gflops']:.0f} GFLOP/s for a large product, "
              f"{peer['threads']} threads; {options.pairs} pairs in turn, {options.precision}.")
    if programs:
        print(f"{', '.join(programs.values())}: the network alone, from the same weights; logits compared with PyTorch's.")
    (options.out / f"compare-{options.precision}.json").write_text(json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    main()
