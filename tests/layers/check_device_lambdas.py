# SPDX-License-Identifier: Apache-2.0
"""Keeps to what nvcc asks of a function that holds a KOKKOS_LAMBDA: it names its return type, is no generic lambda and
no private member. nvcc says so itself, but only where somebody has it and only of what is instantiated.

    check_device_lambdas.py INCLUDE_KOVOS             checks a tree
    check_device_lambdas.py INCLUDE_KOVOS CUBIN...    and that each function that holds one is in what nvcc made
    check_device_lambdas.py --self-test               proves that bad text is refused
"""
import pathlib
import re
import sys

BLANKED = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9A-Fa-f])\'(?:\\.|[^\'\\\n])+\''
    r"|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*",
    re.DOTALL | re.MULTILINE,
)
CONTROL = re.compile(r"(?:else\s+)?(?:if|for|while|switch|catch)\b|(?:else|do|try)$")
CLASS = re.compile(r"(?:template\b.*>\s*)?(?:typedef\s+)?(class|struct|union)\b[^()=]*$", re.DOTALL)
ACCESS = re.compile(r"\b(public|protected|private)\s*:(?!:)")
BEHIND_PARAMETERS = re.compile(r"(?:\s*\b(?:const|mutable|constexpr|noexcept|override|final)\b)*\s*(->[^;]*)?\s*$")
DEDUCED = re.compile(r"\bauto\b|\bdecltype\s*\(\s*auto\s*\)")


def plain(text):
    """The text with comments, literals and directives as blanks, so that positions and lines stay."""
    return BLANKED.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)


def opening(text, closing):
    """The position of the bracket that the one at `closing` closes, or -1."""
    pairs, depth = {")": "(", "]": "[", ">": "<"}, 0
    close, open_ = text[closing], pairs[text[closing]]
    for at in range(closing, -1, -1):
        if text[at] == close and not (close == ">" and at > 0 and text[at - 1] == "-"):
            depth += 1
        elif text[at] == open_:
            depth -= 1
            if depth == 0:
                return at
    return -1


def parts_of(head):
    """(what stands before the parameters, the parameters, the return type behind them) of the head of a body."""
    close = head.rfind(")")
    while close >= 0:
        if BEHIND_PARAMETERS.fullmatch(head[close + 1 :]):
            open_ = opening(head, close)
            before = head[:open_].rstrip()
            if not re.search(r"\b(?:noexcept|decltype|requires)$", before):
                return before, head[open_ + 1 : close], BEHIND_PARAMETERS.fullmatch(head[close + 1 :]).group(1)
        close = head.rfind(")", 0, close)
    return None


def kind_of(head):
    """What a brace opens: its kind, what is wrong with it as the home of a KOKKOS_LAMBDA, the name of a function; of
    those with which an engine runs a problem, which are all called run, the name of the problem."""
    head = head.strip()
    if CONTROL.match(head):
        return "block", None, None
    if re.search(r"\bnamespace\b", head) or head.startswith("extern"):
        return "namespace", None, None
    if CLASS.match(head):
        return "class", None, None
    if re.search(r"\]\s*$", head):
        return "lambda", None, None
    parts = parts_of(head)
    if parts is None:
        return "block", None, None
    before, parameters, result = parts
    if re.search(r"\bKOKKOS_(?:CLASS_)?LAMBDA$", before):
        return "lambda", "another", None
    if before.endswith("]"):
        return "lambda", "a generic lambda" if re.search(r"\bauto\b", parameters) else None, None
    if before.endswith(">") and before[: opening(before, len(before) - 1)].rstrip().endswith("]"):
        return "lambda", "a generic lambda", None
    name = re.search(r"(?:operator\s*\S+|[\w:~]+)$", before)
    if result is None and name and DEDUCED.search(re.sub(r"^template\s*<.*?>\s*(?=\w)", "", before[: name.start()])):
        return "function", "a function that does not name its return type", name.group()
    name = name.group() if name else None
    problem = re.search(r"\bproblem::(\w+)", parameters) if name == "run" else None
    return "function", None, problem.group(1) if problem else name


def device_lambdas(text):
    """Yields (line, name of the function, what nvcc would refuse) for each KOKKOS_LAMBDA of the text."""
    text = plain(text)
    stack, begin = [], 0  # (kind, problem, name, where the text before it began, access outside)
    access = "public"
    for at, letter in enumerate(text):
        if letter in "([{":
            kind, problem, name = kind_of(text[begin:at]) if letter == "{" else ("bracket", None, None)
            if kind == "function" and stack and stack[-1][0] == "class" and access != "public":
                problem = problem or "a private member"
            stack.append((kind, problem, name, begin, access))
            if kind == "class":
                access = "private" if CLASS.match(text[begin:at].strip()).group(1) == "class" else "public"
            begin = at + 1
        elif letter in ")]}":
            kind, _, _, before, outside = stack.pop()
            if kind == "class":
                access = outside
            begin = at + 1 if letter == "}" else before
        elif letter == ";":
            begin = at + 1
        elif letter == ":" and (found := ACCESS.search(text, max(begin, at - 12), at + 2)) and found.end() == at + 1:
            access, begin = found.group(1), at + 1
        elif text.startswith("KOKKOS_LAMBDA", at) or text.startswith("KOKKOS_CLASS_LAMBDA", at):
            problems, function = [], None
            for kind, problem, name, *_ in reversed(stack):
                problems += [problem] if problem else []
                if kind == "function":
                    function = name
                    break
            yield text.count("\n", 0, at) + 1, function, problems


def check(root, cubins=()):
    """(problems, number of device lambdas)"""
    root, problems, count = pathlib.Path(root), [], 0
    compiled = b"".join(pathlib.Path(cubin).read_bytes() for cubin in cubins)
    for path in sorted(root.rglob("*")):
        if path.suffix not in (".hpp", ".inc"):
            continue
        for line, function, refused in device_lambdas(path.read_text("utf-8")):
            where = f"{path.relative_to(root).as_posix()}:{line}"
            count += 1
            problems += [f"{where}: a KOKKOS_LAMBDA in {problem}" for problem in refused]
            # Mangled names hold each name behind its length.
            if cubins and f"{len(function)}{function}".encode() not in compiled:
                problems.append(f"{where}: nvcc compiled no {function}; tests/cuda must call it")
    if count == 0:
        problems.append("there is no KOKKOS_LAMBDA at all: is this the right folder?")
    return problems, count


def self_test():
    loop = "Kokkos::parallel_for(n, KOKKOS_LAMBDA(int i) { y[i] = 0; });"
    bad = {
        "a deduced return type": f"template <class E>\nauto f(C<E> const& c, T x = {{}}) {{ {loop} return y; }}",
        "a deduced return type behind a block": f"auto f(int n) {{ if (n) {{ for (;;) {{ {loop} }} }} return y; }}",
        "auto&": f"auto& f(int n) {{ {loop} return y; }}",
        "decltype(auto)": f"decltype(auto) f(int n) {{ {loop} return y; }}",
        "inline auto": f"namespace a {{ inline auto f(int n) noexcept {{ {loop} return y; }} }}",
        "a member": f"struct S {{ auto f() const {{ {loop} return y; }} }};",
        "a generic lambda": f"void f(int n) {{ auto const g = [&](auto const& y) {{ {loop} }}; g(n); }}",
        "a lambda with template parameters": f"void f(int n) {{ g([&]<class T>(T y) {{ {loop} }}); }}",
        "a lambda in a deduced function": f"auto f(int n) {{ g([&](int y) {{ {loop} }}); return n; }}",
        "one in another": f"void f(int n) {{ g(KOKKOS_LAMBDA(int j) {{ {loop} }}); }}",
        "a private member": f"class S {{\n public:\n  int g();\n private:\n  void f() {{ {loop} }}\n}};",
        "private at first": f"class S {{ void f() {{ {loop} }} }};",
    }
    good = {
        "a named type": f"template <class E = A<B>, auto X = 1>\nT<float, 4> f(C<E> const& c, T x = {{}}) {{ {loop} return y; }}",
        "a trailing type": f"auto f(int n) -> T<float> {{ {loop} return y; }}",
        "auto inside": f"void f(int n) {{ auto* const y = g(n); if constexpr (n > 1) {{ {loop} }} }}",
        "a plain lambda": f"void f(int n) {{ auto const g = [&](int y) {{ {loop} }}; g(n); }}",
        "public again": f"class S {{ int x;\n public:\n  void f() {{ {loop} }}\n}};\nvoid f() {{ {loop} }}",
        "after a good lambda": f"void f() {{ g([&](auto x) {{ return x; }}); {loop} }}",
        "an engine": f"void run(Portable, C<E> const& c, problem::f<T> const& p) {{ {loop} }}",
        "a comment": f"auto f() {{ return 1; }}  // KOKKOS_LAMBDA(\nauto g() {{ char const* s = \"KOKKOS_LAMBDA {{\"; return s; }}",
    }
    for name, text in bad.items():
        refused = [problem for _, _, problems in device_lambdas(text) for problem in problems]
        if len(refused) != 1:
            print(f"{name}: found {refused}")
            return 1
    for name, text in good.items():
        found = list(device_lambdas(text))
        if any(problems or function != "f" for _, function, problems in found):
            print(f"{name} was refused: {found}")
            return 1
    print(f"{len(bad)} bad texts refused")
    return 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    problems, count = check(sys.argv[1], sys.argv[2:])
    for problem in problems:
        print(problem)
    print(f"{count} device lambdas, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
