# SPDX-License-Identifier: Apache-2.0
"""Keeps the doors of kernels, include/kovos/kernels/*.hpp, what they are: they check, allocate and hand a problem to the
engines. No parallel loop, no #if, no function that leaves its return type to be deduced.

    check_doors.py INCLUDE_KOVOS      checks a tree
    check_doors.py --self-test        proves that bad text is refused
"""
import pathlib
import re
import sys

from check_device_lambdas import DEDUCED, parts_of

# No door: control flow over a caller's functions, which are given closures.
NO_DOORS = frozenset(["slices"])

NO_CODE = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9A-Fa-f])\'(?:\\.|[^\'\\\n])+\'', re.DOTALL
)
# for_each_alone runs layers side by side, not elements of one kernel.
LOOP = re.compile(r"\b(for_each_(?!alone\b)\w+|parallel_\w+|KOKKOS_(?:CLASS_)?LAMBDA)\b")
CONDITION = re.compile(r"^[ \t]*#[ \t]*(?:if|ifdef|ifndef)\b", re.MULTILINE)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)


def blank(found):
    return re.sub(r"[^\n]", " ", found.group())


def deduced(text):
    """Yields (position, name) of each function outside of functions whose return type is deduced."""
    begin, at = 0, 0
    while at < len(text):
        letter = text[at]
        if letter == ";" or letter == "}":
            begin = at + 1
        elif letter in "([":
            at = closing(text, at)
        elif letter == "{":
            head = text[begin:at].strip()
            parts = None if re.search(r"\bnamespace\b", head) else parts_of(head)
            if parts is not None:
                before, _, result = parts
                name = re.search(r"(?:operator\s*\S+|[\w:~]+)$", before)
                declared = re.sub(r"^template\s*<.*?>\s*(?=\w)", "", before[: name.start()], flags=re.DOTALL) if name else ""
                if result is None and name and not before.endswith("]") and DEDUCED.search(declared):
                    yield begin + text[begin:at].index(name.group()), name.group()
                at = closing(text, at)
            elif not re.search(r"\b(?:namespace|class|struct|union)\b", head):
                at = closing(text, at)
            begin = at + 1
        at += 1


def closing(text, at):
    """The position of the bracket that closes the one here, or the end."""
    depth = 0
    for place in range(at, len(text)):
        if text[place] in "([{":
            depth += 1
        elif text[place] in ")]}":
            depth -= 1
            if depth == 0:
                return place
    return len(text) - 1


def problems_of(text):
    """Yields (line, what is wrong) for each thing that a door does not hold."""
    text = NO_CODE.sub(blank, text)
    found = [(at.start(), "a condition of the preprocessor") for at in CONDITION.finditer(text)]
    text = DIRECTIVE.sub(blank, text)
    found += [(at.start(), f"a loop: {at.group()}") for at in LOOP.finditer(text)]
    found += [(at, f"{name}() does not name its return type") for at, name in deduced(text)]
    for at, problem in sorted(found):
        yield text.count("\n", 0, at) + 1, problem


def check(root):
    """(problems, number of doors)"""
    problems, doors = [], sorted(pathlib.Path(root, "kernels").glob("*.hpp"))
    for door in doors:
        found = [f"kernels/{door.name}:{line}: {problem}" for line, problem in problems_of(door.read_text("utf-8"))]
        if door.stem not in NO_DOORS:
            problems += found
    if not doors:
        problems.append("there are no doors: is this the right folder?")
    known = {door.stem for door in doors}
    problems += [f"NO_DOORS names {name}, which is not there" for name in sorted(NO_DOORS - known)]
    return problems, len(doors)


def self_test():
    bad = {
        "a loop": "namespace k {\nvoid f() { detail::for_each_index(c, n, g); }\n}",
        "tasks": "namespace k {\nvoid f() { for_each_task(c, n, g); }\n}",
        "Kokkos": "void f() { Kokkos::parallel_reduce(n, g); }",
        "a lambda": "void f() { g(KOKKOS_LAMBDA(int i) { y[i] = 0; }); }",
        "a condition": "#pragma once\n#ifdef X\nvoid f();\n#endif",
        "another condition": "#pragma once\n  # if X\nvoid f();\n#endif",
        "auto": "namespace k {\n/// auto\ntemplate <class E, auto N = 1>\nauto f(E const& e, float x = {}) { return e; }\n}",
        "auto of a struct": "namespace k { namespace detail { struct S { int a; auto f() const { return a; } }; } }",
        "auto behind requires": "template <class E>\nrequires is_host<E>\nauto f(E const& e) { return e; }",
        "decltype(auto)": "inline decltype(auto) f(int n) noexcept { return n; }",
    }
    good = {
        "a door": "namespace k {\ntemplate <class E, auto N = 1>\nT<E> f(E const& e) { auto y = g(e); detail::solve(e, P{y}); return y; }\n}",
        "a trailing type": "auto f(int n) -> int { return n; }",
        "lambdas inside": "int f(int n) { auto const g = [&](auto x) { return x; }; return g(n); }",
        "a variable": "inline constexpr auto one = [] { return 1; }();\ninline constexpr auto two = P{2};",
        "layers": "void f() { for_each_alone(c, n, g); }",
        "comments": "// #ifdef\n/* for_each_index */ void f() { g(\"KOKKOS_LAMBDA(\"); }",
    }
    for name, text in bad.items():
        if len(list(problems_of(text))) != 1:
            print(f"{name}: found {list(problems_of(text))}")
            return 1
    for name, text in good.items():
        if list(problems_of(text)):
            print(f"{name} was refused: {list(problems_of(text))}")
            return 1
    print(f"{len(bad)} bad texts refused")
    return 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    problems, count = check(sys.argv[1])
    for problem in problems:
        print(problem)
    print(f"{count} doors, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
