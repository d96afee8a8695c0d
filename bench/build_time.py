#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a build spent where, from the log that ninja keeps: bench/build_time.py BUILD_DIRECTORY [--cores N] [--files N]

Per target the seconds of all its steps, of the longest, and how long it takes alone where everything it links is there:
what cores can do at best. The seconds are by the clock, so that a build that shares its machine, or has more jobs than
cores, looks dearer than it is, and what a compiler cache had looks free. Of steps that ran more than once the last
counts.
"""
import argparse
import collections
import pathlib
import re
import sys


def steps(build):
    """(output, seconds) of the last run of each step; None for what is no log of ninja."""
    log = pathlib.Path(build) / ".ninja_log"
    try:
        lines = log.read_text().splitlines()
    except OSError as error:
        sys.exit(f"build_time: {log}: {error.strerror}; give the folder of a build with ninja that has run")
    last = {}
    for line in lines:
        field = line.split("\t")
        if line.startswith("#") or len(field) != 5:
            continue
        start, end, _, output, command = field
        last[output] = ((int(end) - int(start)) / 1000, start, end, command)
    # Several outputs of one step have a line each.
    once = {step[1:]: (output, step[0]) for output, step in last.items()}
    return list(once.values())


def target_of(output):
    found = re.search(r"(?:^|/)([^/]+)\.dir/", output)
    return found[1] if found else "linking and the rest"


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("build", help="folder of a build")
    arguments.add_argument("--cores", type=int, default=2, help="for the time a target takes alone")
    arguments.add_argument("--files", type=int, default=15, help="how many of the slowest steps are listed")
    options = arguments.parse_args()
    targets = collections.defaultdict(list)
    everything = steps(options.build)
    for output, seconds in everything:
        targets[target_of(output)].append((seconds, output))
    print(f"| target | steps | seconds | longest | alone on {options.cores} cores |\n| --- | --- | --- | --- | --- |")
    for name, list_ in sorted(targets.items(), key=lambda item: -sum(s for s, _ in item[1])):
        # Before its files a target compiles what they precompile.
        first = sum(s for s, output in list_ if output.endswith(".gch") or output.endswith(".pch"))
        rest = [s for s, output in list_ if not output.endswith((".gch", ".pch"))]
        alone = first + max(max(rest, default=0), sum(rest) / options.cores)
        print(f"| {name} | {len(list_)} | {first + sum(rest):.0f} | {max(s for s, _ in list_):.0f} | {alone:.0f} |")
    print(f"| all | {len(everything)} | {sum(s for _, s in everything):.0f} | {max((s for _, s in everything), default=0):.0f} | |")
    print("\n| step | seconds |\n| --- | --- |")
    for output, seconds in sorted(everything, key=lambda step: -step[1])[: options.files]:
        print(f"| {output} | {seconds:.0f} |")


if __name__ == "__main__":
    main()
