# SPDX-License-Identifier: Apache-2.0
"""Holds pages and comments to what is there: a file, a function or a type that one of them names must exist.

    check_references.py ROOT          checks a tree
    check_references.py --self-test   proves that dead references are found

Of pages (*.md) it reads what stands in `backticks` and the targets of links, of all else the comments. What counts:
a path whose first folder is one of the tree or a room (with or without its suffix, * and <name> stand for anything),
a file's name, --option, Name::member, name(), PascalCase and snake_case (x_i and p_nk are mathematics). A name exists if the code of the tree has it anywhere, be it C++,
Python, CMake or a script; what belongs to other projects is listed in foreign_names.txt. It cannot know whether a
sentence is true, only that what it speaks of has not gone.
"""
import fnmatch
import pathlib
import re
import sys
import tempfile

FOLDERS = ("include", "src", "examples", "bench", "tests", "cmake", "scripts", "docs", "findings", "weights", ".ci")
CPP = {".hpp", ".cpp", ".inc", ".cu"}
SCRIPTS = {".py", ".sh", ".cmake", ".txt", ".in", ".json"}

# A comment, or what may contain the beginning of one and is none.
TOKEN = re.compile(r'R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'|(//[^\n]*|/\*.*?\*/)', re.S)
HASH = re.compile(r"(?:^|\s)#[^\n]*", re.M)
HASH_LINE = re.compile(r"^\s*#[^\n]*", re.M)
TICKS = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
PATH = re.compile(r"(?<![\w./:\-<>*])\.{0,2}/?[\w.\-<>*]+(?:/[\w.\-<>*{},]+)+/?")
FILE = re.compile(r"(?<![\w./:\-<>*])[\w.\-]+\.(?:hpp|cpp|inc|cu|py|sh|md)\b(?!\w)")
OPTION = re.compile(r"(?<![\w\-])--[a-z][\w\-]*")
MEMBER = re.compile(r"(?<![\w:.])(?:\w+::)+~?\w+")
CALL = re.compile(r"(?<![\w:.])(\w+)\(\)")
NAME = re.compile(r"(?<![\w.\-/:<])(?:[A-Z][a-z0-9]+(?:[A-Z][a-z0-9]*)+|[a-z][a-z0-9]*(?:_[a-z0-9]+)+)(?![\w\-/<]|\.\w)")
WORD = re.compile(r"\w+")


def files_of(root):
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and not path.is_relative_to(root / "tests/data") and "corpus" not in path.parts:
                yield path
    for path in sorted(root.glob("*")):
        if path.is_file():
            yield path


def split(text):
    """The code of a C++ text, and its comments as (line, text)."""
    comments = []

    def take(match):
        if match.group(2) is None:
            return match.group(0)
        comments.append((text.count("\n", 0, match.start()) + 1, match.group(2)))
        return " "

    return TOKEN.sub(take, text), comments


class Tree:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.names, self.mentions = set(), []  # mentions: (file, line, text)
        rooms = self.root / "include/kovos"
        self.rooms = {path.name for path in rooms.iterdir() if path.is_dir()} if rooms.is_dir() else set()
        self.foreign = set()
        everything = [*self.root.glob("*"), *(path for folder in FOLDERS for path in (self.root / folder).rglob("*"))]
        self.paths = {"/" + path.relative_to(self.root).as_posix() for path in everything}
        for path in files_of(self.root):
            name = path.relative_to(self.root).as_posix()
            if path.suffix in CPP:
                code, comments = split(path.read_text("utf-8"))
                self.names.update(WORD.findall(code) + OPTION.findall(code))
                self.mentions += [(name, line, text) for line, text in comments if not text.startswith("///     ")]  # an example
            elif path.name == "foreign_names.txt":
                self.foreign = set(HASH.sub("", path.read_text("utf-8")).split())
            elif path.name.startswith("error_sentences") and path.suffix == ".txt":
                continue
            elif path.suffix in SCRIPTS or not path.suffix:
                text = path.read_text("utf-8")
                code = HASH.sub("", text)
                self.names.update(WORD.findall(code) + OPTION.findall(code))
                if path.suffix not in (".json", ".txt") or path.name == "CMakeLists.txt":
                    self.mentions += [(name, text.count("\n", 0, match.start()) + 1, match.group(0))
                                      for match in HASH_LINE.finditer(text)]
            elif path.suffix == ".md" and path.name != "CHANGELOG.md":
                fence = False
                for line, text in enumerate(path.read_text("utf-8").splitlines(), 1):
                    fence ^= text.startswith("```")
                    found = TICKS.findall(text) + ([] if fence else LINK.findall(text))
                    self.mentions += [(name, line, part) for part in found]
            # A file's name is a name, too.
            self.names.update((path.name, path.stem))

    def exists(self, mention):
        """Whether a file is there, with or without its suffix, whose path ends like this; or such a folder."""
        pattern = re.sub(r"<[^>]*>|\{[^}]*\}", "*", mention.strip("/"))
        while pattern.startswith("../"):
            pattern = pattern[3:]
        return any(fnmatch.fnmatchcase(path, "*/" + pattern + end) for path in self.paths for end in ("", ".*"))

    def is_path(self, mention):
        first = mention.lstrip("./").split("/")[0]
        return first in FOLDERS or first in self.rooms or first == "kovos" or FILE.search(mention.split("/")[-1])

    def known(self, name):
        return name in self.names or name in self.foreign

    def problems(self):
        for file, line, text in self.mentions:
            where = f"{file}:{line}"
            for path in (path.rstrip(".,:;") for path in PATH.findall(text)):
                if self.is_path(path) and not self.exists(path) and path not in self.foreign:
                    yield f"{where}: there is no {path}"
            for name in OPTION.findall(text):
                if not self.known(name):
                    yield f"{where}: there is no {name}"
            rest = PATH.sub(" ", text)
            for name in FILE.findall(rest):
                if not self.known(name):
                    yield f"{where}: there is no {name}"
            for member in MEMBER.findall(rest):
                for name in re.split(r"::~?", member):
                    if not self.known(name):
                        yield f"{where}: nothing is called {name} ({member})"
            rest = MEMBER.sub(" ", rest)
            for name in CALL.findall(rest) + NAME.findall(CALL.sub(" ", rest)):
                if len(name) > 3 and len(name.split("_")[-1]) > 2 and not self.known(name):
                    yield f"{where}: nothing is called {name}"


def self_test():
    good = {"include/kovos/core/tensor.hpp": "/// See Tensor::size, zero_fill() and core/tensor.\nstruct Tensor {\n  int size;  "
                                             "// docs/page.md\n};\nvoid zero_fill();\nchar const* text = \"// not_a_comment\";\n",
            "docs/page.md": "`core/tensor.hpp`, `tests/*/a_test.cpp` and `Tensor::size`; [a page](page.md). plain_words stay\n",
            "tests/core/a_test.cpp": "",
            "tests/layers/foreign_names.txt": "align_corners  # PyTorch\n"}
    bad = {
        "a file that went": {"docs/page.md": "`core/gone.hpp`"},
        "a link that went": {"docs/page.md": "[a page](docs/gone.md)"},
        "a member that went": {"docs/page.md": "`Tensor::extent`"},
        "a function in a comment": {"include/kovos/core/b.hpp": "// Calls refill().\n"},
        "a type in a comment": {"include/kovos/core/b.hpp": "int x;  /* of a PackedThing */\n"},
        "a variable in a comment": {"include/kovos/core/b.hpp": "// num_gone of them\n"},
        "a file's name": {"src/a.cpp": "// see gone.hpp"},
        "an option that went": {"docs/page.md": "`kovos --gone`"},
        "a name that only a string's comment has": {"include/kovos/core/b.hpp": "/// gone_name\nauto s = \"a \\\" // \";\n"},
        "a name that only comments have": {"include/kovos/core/b.hpp": "// fill_rest\n", "src/a.cpp": "// fill_rest\n"},
    }
    for what, files in [*bad.items(), ("a good tree", {}), ("a foreign name", {"src/a.cpp": "// as align_corners"})]:
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {**good, **files}.items():
                path = pathlib.Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            problems = list(Tree(folder).problems())
        if bool(problems) != (what in bad):
            print(f"{what}: {problems}")
            return 1
    print(f"{len(bad)} dead references found")
    return 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    problems = list(Tree(sys.argv[1]).problems())
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
