# SPDX-License-Identifier: Apache-2.0
"""Every problem that the portable engine solves stands in the list of kernels/engine/linked.hpp, so that its loops are
compiled once and not in every program of the tree; and the list names no other.

    check_linked_problems.py INCLUDE_DIRECTORY
    check_linked_problems.py --self-test   proves that a problem left out is found
"""
import pathlib
import re
import sys


def problems_between(solved, linked):
    """What is wrong between the texts of the portable engine and the list."""
    solves = set(re.findall(r"\brun\(\s*Portable,[^)]*?problem::(\w+)", solved))
    lists = set(re.findall(r"\bF\(problem::(\w+)", linked))
    if not solves or not lists:
        return ["no problems were found; has run(Portable, ...) or the list got another form?"]
    return [f"problem::{name} is solved by the portable engine but not listed" for name in sorted(solves - lists)] + [
        f"problem::{name} is listed but not solved by the portable engine" for name in sorted(lists - solves)]


def main():
    if sys.argv[1] == "--self-test":
        text = "void run(Portable, Context<Exec> const& context, problem::A const& p) {}\nvoid run(\n    Portable, X x, problem::B<T> const& p) {}"
        assert problems_between(text, "F(problem::A) F(problem::B<float>)") == []
        assert len(problems_between(text, "F(problem::A)")) == 1
        assert len(problems_between(text, "F(problem::A) F(problem::B<int>) F(problem::C)")) == 1
        assert len(problems_between("", "F(problem::A)")) == 1
        return
    engine = pathlib.Path(sys.argv[1]) / "kernels" / "engine"
    solved = "\n".join(path.read_text() for path in sorted((engine / "portable").glob("*.hpp")))
    found = problems_between(solved, (engine / "linked.hpp").read_text())
    for problem in found:
        print(f"{engine / 'linked.hpp'}: {problem}")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
