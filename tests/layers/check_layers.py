# SPDX-License-Identifier: Apache-2.0
"""Holds the floors of include/kovos: no upward include, no circle, no foreign detail/, each library in its place.

    check_layers.py INCLUDE_KOVOS     checks a tree
    check_layers.py --self-test       proves that bad trees are refused
"""
import pathlib
import re
import sys
import tempfile

# The table of docs/architecture.md: what each room may include beside itself.
ALLOWED = {
    "core": set(),
    "io": {"core"},
    "interop": {"core"},
    "kernels": {"core"},
    "autodiff": {"kernels", "core"},
    "nn": {"autodiff", "kernels", "core"},
    "text": {"core", "io"},
    "checkpoint": {"nn", "text", "io", "core"},
    "clip": {"checkpoint", "nn", "autodiff", "text", "io", "kernels", "core"},
    "segmentation": {"clip", "checkpoint", "nn", "autodiff", "text", "io", "kernels", "core"},
    "metrics": {"core", "kernels"},
    "data": {"text", "core", "io", "kernels"},
    "distribution": {"core", "io", "metrics"},
    "training": {"segmentation", "clip", "checkpoint", "nn", "autodiff", "text", "io", "kernels", "core", "metrics", "data"},
}
# Where a library may be named: rooms, or single headers. Core and kernels need Kokkos alone, io and text not even that.
LIBRARIES = {
    "Kokkos_": {"core", "interop", "kernels", "autodiff", "nn", "checkpoint/load_parameters.hpp", "clip", "segmentation",
                "metrics", "data", "training"},
    "Eigen/": {"interop/eigen.hpp", "kernels/engine/eigen.hpp"},
    "dnnl.hpp": {"kernels/engine/onednn.hpp"},
    "xtensor/": {"interop/xtensor.hpp"},
    "immintrin.h": {"kernels/engine/host_instruction_sets.hpp", "kernels/engine/amx_available.hpp"},
    "emmintrin.h": {"kernels/resize_u8.hpp"},
    "cpuid.h": {"kernels/engine/amx_available.hpp"},
    "nlohmann/": {"io", "text", "training", "clip/settings_beside.hpp", "distribution/partial_results.hpp"},
    "zip.h": {"io/detail/zip_directory.hpp", "io/detail/zip_writer.hpp"},
    "zlib.h": {"io", "text"},
    "png.h": {"io/png.hpp"},
    "jpeglib.h": {"io/jpeg.hpp"},
    "jerror.h": {"io/jpeg.hpp"},
    "tiffio.h": {"io/detail/tiff_handle.hpp"},
    "utf8proc.h": {"text", "segmentation/legend_font.hpp"},
    "mpi.h": {"distribution/mpi.hpp"},
    "cuda_runtime_api.h": {"core/device.hpp"},
    "fcntl.h": {"io/file.hpp", "io/line_file.hpp"},
    "unistd.h": {"io/file.hpp", "io/line_file.hpp", "kernels/engine/amx_available.hpp"},
    "sys/syscall.h": {"kernels/engine/amx_available.hpp"},
    "sys/": {"io/file.hpp"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s*["<]kovos/([^">]+)[">]')
FOREIGN = re.compile(r'^\s*#\s*include\s*["<]((?!kovos/)[^">]*)[">]')


def room_of(header):
    """The folder of a header, None for those at the top (kovos.hpp, version.hpp)."""
    parts = header.split("/")
    return parts[0] if len(parts) > 1 else None


def library_allowed(include, header):
    """Whether this header may include that header of a library; the standard library's names are plain words."""
    for prefix, places in LIBRARIES.items():
        if include.startswith(prefix):
            return header in places or room_of(header) is None or room_of(header) in places
    return re.fullmatch(r"[a-z_0-9]+", include) is not None


def table_circles():
    """The table itself must be a ladder: what a room may include may not include the room."""
    return [f"{a} and {b} may include each other" for a in ALLOWED for b in ALLOWED[a] if a in ALLOWED.get(b, ())]


def check(root):
    root = pathlib.Path(root)
    problems, edges = table_circles(), {}
    for path in sorted(root.rglob("*")):
        if path.suffix not in (".hpp", ".inc"):
            continue
        header = path.relative_to(root).as_posix()
        room = room_of(header)
        if room is not None and room not in ALLOWED:
            problems.append(f"{header}: the room '{room}' is not in the table")
            continue
        edges[header] = []
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            where = f"{header}:{number}"
            foreign = FOREIGN.match(line)
            if foreign and not library_allowed(foreign.group(1), header):
                problems.append(f"{where}: <{foreign.group(1)}> has no place in {header}")
            match = INCLUDE.match(line)
            if not match:
                continue
            target = match.group(1)
            edges[header].append((target, where))
            if not (root / target).exists():
                problems.append(f"{where}: kovos/{target} does not exist")
            other = room_of(target)
            if room is None:
                continue
            if other is None:
                if target != "version.hpp":
                    problems.append(f"{where}: a room includes the umbrella kovos/{target}")
            elif other != room and other not in ALLOWED[room]:
                problems.append(f"{where}: {room} must not include {other} (kovos/{target})")
            if other != room and "/detail/" in target:
                problems.append(f"{where}: kovos/{target} is private to {other}")

    state = {}

    def visit(header, trail):
        if state.get(header) == "done" or header not in edges:
            return
        if header in trail:
            problems.append("circle: " + " -> ".join(trail[trail.index(header):] + [header]))
            return
        for target, _ in edges[header]:
            visit(target, trail + [header])
        state[header] = "done"

    for header in edges:
        visit(header, [])
    return problems


def self_test():
    cases = {
        "an upward include": {"core/a.hpp": '#include "kovos/nn/b.hpp"', "nn/b.hpp": ""},
        "a circle": {"core/a.hpp": '#include "kovos/core/b.hpp"', "core/b.hpp": '#include "kovos/core/a.hpp"'},
        "a foreign detail": {"nn/a.hpp": '#include "kovos/core/detail/b.hpp"', "core/detail/b.hpp": ""},
        "an unknown room": {"utils/a.hpp": ""},
        "the umbrella": {"core/a.hpp": "#include <kovos/kovos.hpp>", "kovos.hpp": ""},
        "a missing header": {"core/a.hpp": '#include "kovos/core/gone.hpp"'},
        "a library out of its place": {"kernels/a.hpp": "#include <Eigen/Core>"},
        "a Kokkos header in io": {"io/a.hpp": "#  include <Kokkos_Core.hpp>"},
        "an unknown library": {"nn/a.hpp": "#include <boost/array.hpp>"},
        "a header beside": {"nn/a.hpp": '#include "b.hpp"', "nn/b.hpp": ""},
    }
    good = {"core/a.hpp": "#include <vector>\n#include <Kokkos_Core.hpp>", "nn/b.hpp": '#include "kovos/core/a.hpp"'}
    for name, files in [*cases.items(), ("a good tree", good)]:
        with tempfile.TemporaryDirectory() as folder:
            for header, text in files.items():
                path = pathlib.Path(folder) / header
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            problems = check(folder)
        if files is good and problems:
            print(f"a good tree was refused: {problems}")
            return 1
        if files is not good and not problems:
            print(f"{name} was not found")
            return 1
    print(f"{len(cases)} bad trees refused")
    return 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    problems = check(sys.argv[1])
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
