# SPDX-License-Identifier: Apache-2.0
"""Holds the floors of include/kovos: no upward include, no circle, no foreign detail/, each library in its place.

    check_layers.py INCLUDE_KOVOS     checks a tree
    check_layers.py --self-test       proves that bad trees are refused
"""
import pathlib
import re
import sys
import tempfile

# The table of docs/architecture.md: what each room stands on. It may include these rooms and all that they may include.
STANDS_ON = {
    "core": [],
    "io": ["core"],
    "interop": ["core"],
    "kernels": ["core"],
    "metrics": ["core"],
    "autodiff": ["kernels"],
    "drawing": ["io"],
    "text": ["io"],
    "distribution": ["metrics", "io"],
    "nn": ["kernels", "io"],
    "data": ["kernels", "text"],
    "checkpoint": ["nn", "text"],
    "clip": ["checkpoint"],
    "segmentation": ["clip"],
    "training": ["segmentation", "autodiff", "data", "drawing"],
}
# Where loops over tensors may stand; elsewhere is composition.
DEVICE_CODE = {"core", "kernels", "autodiff", "training"}
# Where a library may be named: rooms, or single headers. Core and kernels need Kokkos alone, io and text not even that.
LIBRARIES = {
    "Kokkos_": {"core", "interop", "kernels", "autodiff", "nn", "checkpoint/load_parameters.hpp", "clip",
                "segmentation", "data", "training"},
    "Eigen/": {"interop/eigen.hpp", "kernels/engine/eigen/gemm.hpp"},
    "dnnl.hpp": {"kernels/engine/onednn/gemm.hpp"},
    "xtensor/": {"interop/xtensor.hpp"},
    "immintrin.h": {"kernels/engine/host/instruction_sets.hpp", "kernels/engine/host/amx_available.hpp"},
    "emmintrin.h": {"kernels/engine/host/resize_u8.hpp"},
    "cpuid.h": {"kernels/engine/host/amx_available.hpp"},
    "nlohmann/": {"io", "text", "training", "clip/settings_beside.hpp", "distribution/partial_results.hpp"},
    "zip.h": {"io/detail/zip_directory.hpp", "io/detail/zip_writer.hpp"},
    "zlib.h": {"io", "text"},
    "png.h": {"io/png.hpp"},
    "jpeglib.h": {"io/jpeg.hpp"},
    "jerror.h": {"io/jpeg.hpp"},
    "tiffio.h": {"io/detail/tiff_handle.hpp"},
    "utf8proc.h": {"text", "drawing/font.hpp"},
    "mpi.h": {"distribution/mpi.hpp"},
    "cuda_runtime_api.h": {"core/device.hpp"},
    "fcntl.h": {"io/file.hpp", "io/line_file.hpp"},
    "unistd.h": {"io/file.hpp", "io/line_file.hpp", "kernels/engine/host/amx_available.hpp"},
    "sys/syscall.h": {"kernels/engine/host/amx_available.hpp"},
    "sys/": {"io/file.hpp"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s*["<]kovos/([^">]+)[">]')
DOCUMENTED = re.compile(r"\| `(\w+)/` \| ([\w, ]*) \|")
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


def below(room):
    """All rooms that a room may include; the table has each room after those it stands on, so there is no circle."""
    return {other for first in STANDS_ON[room] for other in {first} | below(first)}


def check_table(page):
    """The table of the page must be the one above."""
    documented = {room: on.split(", ") for room, on in DOCUMENTED.findall(page.read_text("utf-8"))}
    return [f"{page.name}: {room}/ stands on {', '.join(documented.get(room, [])) or 'nothing'}, not on {', '.join(on)}"
            for room, on in STANDS_ON.items() if on and sorted(documented.get(room, [])) != sorted(on)]


def check(root):
    root = pathlib.Path(root)
    page = root.parent.parent / "docs/architecture.md"
    problems, edges = check_table(page) if page.exists() else [], {}
    allowed = {room: below(room) for room in STANDS_ON}
    for path in sorted(root.rglob("*")):
        if path.suffix not in (".hpp", ".inc"):
            continue
        header = path.relative_to(root).as_posix()
        room = room_of(header)
        if room is not None and room not in allowed:
            problems.append(f"{header}: the room '{room}' is not in the table")
            continue
        edges[header] = []
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            where = f"{header}:{number}"
            foreign = FOREIGN.match(line)
            if foreign and not library_allowed(foreign.group(1), header):
                problems.append(f"{where}: <{foreign.group(1)}> has no place in {header}")
            if "KOKKOS_LAMBDA" in line and room is not None and room not in DEVICE_CODE:
                problems.append(f"{where}: a loop on the device has no place in {room}")
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
            elif other != room and other not in allowed[room]:
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
        "a loop above the kernels": {"nn/a.hpp": "f(KOKKOS_LAMBDA(int) {});"},
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
