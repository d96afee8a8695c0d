# SPDX-License-Identifier: Apache-2.0
"""Counts that no error sentence is lost: those of the tree are compared with the list beside this file.

    error_sentences.py ROOT                    says which sentences vanished or were added, and fails if any did
    error_sentences.py ROOT --write [REASON]   brings the list up to date; where sentences vanished, REASON is kept with
                                               them in error_sentences_gone.txt, so that review sees both
    error_sentences.py --self-test             proves that a lost sentence is found, and that moving one is no loss

A sentence is what a statement says in three words or more: its literals as they are, with {} for what stands between
them. So it does not matter whether require, fail, throw or a function of their own says it, nor in which file: a
sentence may move. Help and what is printed on success do not count, nor do conditions and tables of words.
"""
import pathlib
import re
import sys
import tempfile

from check_references import split

HERE = pathlib.Path(__file__).parent
FOLDERS = ("include", "examples")
TABLES = {"benchmark.hpp", "benchmark_classes.hpp", "mess_classes.hpp", "html_entities.hpp", "prompt_template.hpp",
          "vocabulary.hpp", "captions.hpp"}
# Statements with these say nothing about errors.
OTHERS = {"add_option", "add_flag", "add_subcommand", "add_command", "description", "footer", "printf", "static_assert",
          "in_region"}
TOKEN = re.compile(r'R"(?P<d>\w*)\((?P<raw>.*?)\)(?P=d)"|"(?P<text>(?:\\.|[^"\\\n])*)"|\'(?:\\.|[^\'\\\n])+\''
                   r"|(?P<word>\w+)|(?P<sign>[^\s\w])", re.S)
WORD = re.compile(r"[^\W\d_]{2,}")
LABEL = re.compile(r"(?:\{\}|kovos::[\w ]+)+")  # of a loop, for profilers
ESCAPE = re.compile(r"\\n|\\t")


def tokens(code):
    """(kind, text) of a C++ text without comments; literals side by side are one, preprocessor lines are left out."""
    code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", "", code, flags=re.M)
    found = []
    for match in TOKEN.finditer(code):
        kind = {"d": "text", "raw": "text", None: "letter"}.get(match.lastgroup, match.lastgroup)
        text = match.group("raw") if match.group("raw") is not None else match.group(0)
        if kind == "text" and match.group("raw") is None:
            text = match.group("text")
        if kind == "text" and found and found[-1][0] == "text":
            found[-1] = ("text", found[-1][1] + text)
        else:
            found.append((kind, text))
    return found


def closing(found, start):
    """Where the bracket at start is closed."""
    depth = 0
    for i in range(start, len(found)):
        kind, text = found[i]
        if kind == "sign" and text in "([{":
            depth += 1
        elif kind == "sign" and text in ")]}":
            depth -= 1
            if depth == 0:
                return i
    return len(found) - 1


def first_argument(found, start):
    """Where the first argument of the call whose bracket is at start ends."""
    depth = 0
    for i in range(start, len(found)):
        kind, text = found[i]
        if kind == "sign":
            if text in "([{":
                depth += 1
            elif text in ")]}":
                depth -= 1
            if depth == 0 or (depth == 1 and text == ","):
                return i
    return len(found) - 1


def statements(found):
    """The statements as lists of tokens; a condition is one of its own, of which nothing counts."""
    statement, i = [], 0
    while i < len(found):
        kind, text = found[i]
        if kind == "word" and text in ("if", "while", "for", "switch", "require"):
            start = next((j for j in range(i + 1, min(i + 12, len(found))) if found[j] == ("sign", "(")), None)
            if start is not None and not any(found[j][0] == "sign" and found[j][1] in ";{}" for j in range(i + 1, start)):
                i = first_argument(found, start) if text == "require" else closing(found, start)
        elif kind == "sign" and text in ";{}":
            yield statement
            statement = []
        else:
            statement.append(found[i])
        i += 1
    yield statement


def sentence(statement):
    """What a statement says, or nothing."""
    if any(kind == "word" and text in OTHERS for kind, text in statement):
        return None
    parts = []
    for i, (kind, text) in enumerate(statement):
        key = re.fullmatch(r"\w*", text) and 0 < i < len(statement) - 1 and statement[i - 1][1] in "[(" and \
            statement[i + 1][1] in "])"
        part = ESCAPE.sub(" ", text) if kind == "text" and not key else "{}"
        if part != "{}" or parts[-1:] != ["{}"]:
            parts.append(part)
    said = re.sub(r"\s+", " ", "".join(parts))
    said = re.sub(r"^(?:\{\}|[\s:,.;'\"(\[\])])+|(?:\{\}|[\s:,;'\"(\[])+$", "", said)
    if len(WORD.findall(said)) < 3 or " " not in said.replace("{}", "") or LABEL.fullmatch(said):
        return None
    return said


def sentences(root):
    found = set()
    for folder in FOLDERS:
        for path in sorted((pathlib.Path(root) / folder).rglob("*")):
            if path.suffix in (".hpp", ".cpp", ".inc") and path.name not in TABLES:
                said = map(sentence, statements(tokens(split(path.read_text("utf-8"))[0])))
                found.update(text for text in said if text)
    return found


def lines(path):
    return path.read_text("utf-8").splitlines() if path.exists() else []


def read_gone(path):
    """reason -> sentences"""
    gone, reason = {}, None
    for line in lines(path):
        if line.startswith("# "):
            reason = line[2:]
        elif line:
            gone.setdefault(reason, set()).add(line)
    return gone


def check(root, folder):
    """What differs from the list in this folder: sentences that vanished, and new ones."""
    now, known = sentences(root), set(lines(folder / "error_sentences.txt"))
    return sorted(known - now), sorted(now - known)


def write(root, folder, reason):
    """Brings the list up to date; False if something vanished and nobody says why."""
    vanished, _ = check(root, folder)
    if vanished and not reason:
        return False
    now, page = sentences(root), folder / "error_sentences_gone.txt"
    gone = read_gone(page)
    if vanished:
        gone.setdefault(reason, set()).update(vanished)
    text = "".join(f"# {why}\n" + "".join(f"{said}\n" for said in sorted(list_ - now)) + "\n"
                   for why, list_ in gone.items() if list_ - now)
    page.write_text(text.rstrip("\n") + "\n" if text else "", "utf-8")
    (folder / "error_sentences.txt").write_text("".join(f"{said}\n" for said in sorted(now)), "utf-8")
    return True


def self_test():
    first = """// "a comment says nothing at all"
        #define NO "such words as these"
        void f(int n) {
          require<E>(name == "one two three", "[f] there are ", n, " of them, "
                     "expected none");
          if (text == "not a sentence either") throw UsageError("the folder '" + path + "' holds no picture");
          app.add_option("--n", n, "How many of them to take");
          for (auto c : names) complain("the record ", quoted(c), " is not there: ", table["key"]);
          return path + (n == 1 ? ": ends too early" : ": has bytes too many");
        }"""
    expected = {"f] there are {} of them, expected none", "the folder '{}' holds no picture",
                "the record {} is not there", "ends too early{}: has bytes too many"}
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        (root / "include").mkdir()
        (root / "include/a.hpp").write_text(first)
        if sentences(root) != expected:
            print(f"found {sentences(root)}")
            return 1
        if not write(root, root, "") or check(root, root) != ([], []):
            print("a new list does not hold its own tree")
            return 1
        # To another file, and said by another function.
        (root / "include/b.hpp").write_text(first.replace('complain("', 'fail<E>(where, ": ').replace("throw UsageError(", "refuse("))
        (root / "include/a.hpp").write_text("")
        if check(root, root) != ([], []):
            print(f"a sentence that moved counts as lost: {check(root, root)}")
            return 1
        (root / "include/b.hpp").write_text(first.replace("is not there", "is missing"))
        if check(root, root) != (["the record {} is not there"], ["the record {} is missing"]) or write(root, root, ""):
            print("a lost sentence was not found")
            return 1
        if not write(root, root, "reworded") or read_gone(root / "error_sentences_gone.txt") != {"reworded": {"the record {} is not there"}}:
            print("what is gone was not kept")
            return 1
        (root / "include/b.hpp").write_text(first)
        if not write(root, root, "back") or "is not there" in (root / "error_sentences_gone.txt").read_text():
            print("what came back is still among what is gone")
            return 1
    print("lost sentences are found, moved ones are not")
    return 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    root = sys.argv[1]
    vanished, added = check(root, HERE)
    if sys.argv[2:3] == ["--write"]:
        if not write(root, HERE, " ".join(sys.argv[3:])):
            print(*vanished, sep="\n")
            print(f"{len(vanished)} sentences are gone: say why, --write 'REASON'")
            return 1
        return 0
    for said in vanished:
        print(f"gone:  {said}")
    for said in added:
        print(f"added: {said}")
    if vanished or added:
        print(f"{len(vanished)} sentences vanished, {len(added)} were added: if that is meant, "
              f"python3 tests/layers/error_sentences.py . --write" + (" 'REASON'" if vanished else ""))
        return 1
    count = len(lines(HERE / "error_sentences.txt"))
    gone = read_gone(HERE / "error_sentences_gone.txt").values()
    print(f"{count} sentences, none lost; {sum(map(len, gone))} are gone with a reason")
    return 0


if __name__ == "__main__":
    sys.exit(main())
