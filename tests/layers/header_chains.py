# SPDX-License-Identifier: Apache-2.0
"""Which headers one compiler process can check for standing alone, without proving less than a process for each.

    header_chains.py INCLUDE HEADER...   prints a line per process: "kokkos" or "plain", then its headers in order
    header_chains.py --self-test         proves the rule on small trees

A header stands alone if its text finds all it names in what it includes itself. After a header that it includes anyway,
it sees no more than that: so a chain in which each header includes the one before it, directly or through others, is
checked in one process. By the same rule what includes Kokkos_Core.hpp may be given it precompiled. Includes inside #if
count for nothing.
"""
import pathlib
import re
import sys
import tempfile

INCLUDE = re.compile(r'\s*#\s*include\s*["<]([^">]+)[">]')
CONDITION = re.compile(r"\s*#\s*(if|endif)")


def includes(path):
    depth, found = 0, []
    for line in path.read_text("utf-8").splitlines():
        condition = CONDITION.match(line)
        if condition:
            depth += 1 if condition.group(1) == "if" else -1
        include = INCLUDE.match(line)
        if include and depth == 0:
            found.append(include.group(1))
    return found


def closures(root, headers):
    """header -> all that it includes, directly or through headers of Kovos."""
    direct, result = {}, {}

    def closure(header):
        if header not in result:
            result[header] = set()
            if header not in direct:
                path = root / header
                direct[header] = includes(path) if path.is_file() else []
            for other in direct[header]:
                result[header] |= {other} | closure(other)
        return result[header]

    for header in headers:
        closure(header)
    return result


def chains(root, headers):
    """The fewest chains that hold every header once (a matching of each header with the next of its chain)."""
    below = closures(root, headers)
    ordered = sorted(headers, key=lambda header: (len(below[header]), header))
    sees_kokkos = {header: "Kokkos_Core.hpp" in below[header] for header in ordered}
    before = {header: [other for other in reversed(ordered)
                       if other in below[header] and sees_kokkos[other] == sees_kokkos[header]] for header in ordered}
    after = {}  # header -> the next one of its chain

    def match(header, seen):
        for other in before[header]:
            if other not in seen:
                seen.add(other)
                if other not in after or match(after[other], seen):
                    after[other] = header
                    return True
        return False

    for header in ordered:
        match(header, set())
    result = []
    for header in ordered:
        if header in after.values():
            continue
        chain = [header]
        while chain[-1] in after:
            chain.append(after[chain[-1]])
        result.append(("kokkos" if sees_kokkos[header] else "plain", chain))
    return result


def self_test():
    tree = {"kovos/a.hpp": "#include <string>\n", "kovos/b.hpp": '#include "kovos/a.hpp"\n',
            "kovos/c.hpp": '#if 1\n#include "kovos/b.hpp"\n#endif\n#include <Kokkos_Core.hpp>\n',
            "kovos/d.hpp": '#include "kovos/b.hpp"\n', "kovos/e.hpp": '#include "kovos/d.hpp"\n#include "kovos/c.hpp"\n'}

    def on_disk(files, function):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for header, text in files.items():
                (root / header).parent.mkdir(exist_ok=True)
                (root / header).write_text(text)
            return function(root, sorted(files))

    found = on_disk(tree, chains)
    # Only what sees Kokkos anyway may have it precompiled.
    if sorted(found) != [("kokkos", ["kovos/c.hpp", "kovos/e.hpp"]), ("plain", ["kovos/a.hpp", "kovos/b.hpp", "kovos/d.hpp"])]:
        print(f"chains of the small tree: {found}")
        return 1
    below = on_disk({**tree, "kovos/c.hpp": tree["kovos/c.hpp"].replace("#include <Kokkos_Core.hpp>", "")}, closures)
    if below["kovos/c.hpp"] or "kovos/c.hpp" not in below["kovos/e.hpp"]:
        print("an include under a condition was counted")
        return 1
    print("the small tree has the chains it should")
    return 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    for kind, chain in chains(pathlib.Path(sys.argv[1]), sys.argv[2:]):
        print(kind, *chain, sep=" ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
