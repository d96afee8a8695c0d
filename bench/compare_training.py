#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times a training step of Kovos and of PyTorch in turn on the same weights and batch and prints both, with their ratio.

    python3 bench/compare_training.py --bench build/bench/bin/kovos_train_bench --out DIR
                                      [--cases cat_seg_scenes,clip_scenes,clip_scenes_dense,cat_seg_vit_b16]
                                      [--pairs 3] [--python /usr/bin/python3] [--blas FILE]

Each case is `pairs` rounds of (Kovos, PyTorch, PyTorch with an allocator that keeps freed memory), each program in a process of
its own; a figure is the median over the rounds. bench/peers/pytorch_train.py ends with an error if its first loss is not Kovos'.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

import compare

HERE = pathlib.Path(__file__).resolve().parent
PARTS = ("forward", "backward", "optimizer", "step")
CASES = {"cat_seg_scenes": 24, "clip_scenes": 24, "clip_scenes_dense": 24, "cat_seg_vit_b16": 20}  # classes, if it has any
PROGRAMS = {"kovos": "Kovos", "pytorch": "PyTorch", "pytorch_keep": "PyTorch, keeps freed memory"}


def name_commit():
    """What the programs write into their records, if bench/run.sh has not said it."""
    def git(*arguments):
        done = subprocess.run(["git", "-C", str(HERE), *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else "unknown"
    os.environ.setdefault("KOVOS_BENCH_COMMIT", git("rev-parse", "HEAD"))
    os.environ.setdefault("KOVOS_BENCH_TREE", "changed" if git("status", "--porcelain", "--", "../include", ".") else "clean")


def run_kovos(options, case, path, *arguments):
    subprocess.run([options.bench, "--cases", case, "--classes", str(CASES[case]), *arguments, str(path)], check=True,
                   stdout=subprocess.DEVNULL)


def run_pytorch(options, file, threads, keep):
    environment = dict(os.environ)
    if options.blas:
        folder = str(pathlib.Path(options.blas).resolve().parent)
        environment["LD_LIBRARY_PATH"] = folder + os.pathsep + environment.get("LD_LIBRARY_PATH", "")
    command = [options.python, str(HERE / "peers/pytorch_train.py"), "--case", str(file), "--threads", str(threads),
               "--repetitions", str(options.repetitions)]
    command += ["--keep-memory"] * keep + ["--full-context"] * options.full_context
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"compare_training: PyTorch ended with code {done.returncode} on {file.stem}; "
                 "if nothing is said above, out of memory?")
    return json.loads(done.stdout)


def median(runs, key):
    return statistics.median(run["seconds"][key] for run in runs)


def row(case, program, runs, base):
    steps = [seconds for run in runs for seconds in run["steps"]]
    cells = [case, str(runs[0]["pictures"]), PROGRAMS[program]] + [f"{median(runs, key):.3f}" for key in PARTS]
    cells += [f"{min(steps):.3f} - {max(steps):.3f}", f"{runs[0]['pictures'] / median(runs, 'step'):.2f}",
              f"{median(runs, 'step') / median(base, 'step'):.2f}",
              f"{statistics.median(run['peak_rss_bytes'] for run in runs) / 1e9:.2f} GB", f"{runs[0]['losses'][0]:.6f}"]
    print("| " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", required=True, help="the program kovos_train_bench")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="for the batches and the records")
    parser.add_argument("--cases", default="cat_seg_scenes,clip_scenes,clip_scenes_dense")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--repetitions", type=int, default=5, help="steps per process after one that warms up")
    parser.add_argument("--full-context", action="store_true", help="PyTorch pads prompts to the model's context")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--blas", default=os.environ.get("KOVOS_OPENBLAS"),
                        help="the OpenBLAS that PyTorch shall load, if it is not the system's (default: KOVOS_OPENBLAS)")
    options = parser.parse_args()
    cases = options.cases.split(",")
    for case in cases:
        if case not in CASES:
            parser.error(f"there is no case {case!r}, expected one of {', '.join(CASES)}")
    if not compare.has_pytorch(options.python):
        sys.exit(f"compare_training: {options.python} has no PyTorch with NumPy; name one that has with --python")
    options.out.mkdir(parents=True, exist_ok=True)
    name_commit()
    print("| case | batch | program | " + " | ".join(PARTS[:-1]) + " | step, s | from - to | pictures/s | step / Kovos | "
          "peak memory | first loss |\n" + "| --- " * (len(PARTS) + 8) + "|")
    records, machine, peer = [], None, None
    for case in cases:
        file = options.out / f"{case}.safetensors"
        run_kovos(options, case, file, "--write")
        runs = {program: [] for program in PROGRAMS}
        for pair in range(options.pairs):
            path = options.out / f"{case}-{pair}.json"
            run_kovos(options, case, path, "--repetitions", str(options.repetitions), "--json")
            record = json.loads(path.read_text())
            machine = record["machine"]
            runs["kovos"].append(record["results"][0])
            for program in ("pytorch", "pytorch_keep"):
                peer = run_pytorch(options, file, machine["threads"], program == "pytorch_keep")
                runs[program].append(peer)
        for program in PROGRAMS:
            row(case, program, runs[program], runs["kovos"])
        records.append({"case": case, "machine": machine, "runs": runs,
                        "environment": {k: v for k, v in os.environ.items() if k.startswith(("OMP_", "KOVOS_"))}})
        (options.out / "compare-training.json").write_text(json.dumps(records, indent=1) + "\n")
    print(f"\nMedians over {options.pairs} rounds in turn, {options.repetitions} steps each after one that warms up; fp32, "
          f"{machine['threads']} threads. Kovos {machine['kovos']} ({machine['engine']}, {machine['compiler']}, Kokkos "
          f"{machine['kokkos']}, commit {machine['commit']:.10s}, tree {machine['tree']}); "
          f"{peer['program']} ({', '.join(peer['blas'])}, "
          f"{'with' if peer['onednn'] else 'without'} oneDNN, {peer['matrix_gflops']:.0f} GFLOP/s for a large product). "
          f"{machine['cpu']}, load average before {machine['load_average_before']:.2f}, {machine['date']}.")


if __name__ == "__main__":
    main()
