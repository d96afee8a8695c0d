#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plants wrong constants, one at a time, and shows that the comparison with recorded numbers notices each of them.

    python3 tests/reference/planted_faults.py [--only WORD] [--list]

A copy of the tree gets all faults at once, each behind a switch that an environment variable turns on. The tests of
recorded inference are built from it once, run once without a fault, which must pass, and once per fault, which must
fail. Takes some minutes and is not part of CI. Needs what the tests need, and Python.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TESTS = ("oracle_test.cpp", "recorded_geometries_test.cpp")  # they are to notice

BEST, PORTABLE = "with the best engine", "with the portable engine"

# Who is to notice; what stands in one place of include/kovos, whatever the file is called, the constant in « »; then
# what is wrong and the wrong constant. Constants that are needed while compiling are planted where they are used.
PLACES = [
    # Padding and epsilons.
    (BEST, "return {«PadLen - classes», key.reshape",
     [("one padding class too few", "PadLen - classes - 1"),
      ("one padding class too many", "PadLen - classes + 1")]),
    (BEST, "options.most_classes == 0 ? «Config.pad_len» :",
     [("one class too few is kept where there are too many", "Config.pad_len - 1")]),
    (BEST, "o.data(), «detail::linear_attention_epsilon»});",
     [("linear attention: epsilon 1e-3 for 1e-6", "1e-3f"),
      ("linear attention: epsilon 1e-5 for 1e-6", "1e-5f"),
      ("linear attention: no epsilon", "0.0f")]),
    (PORTABLE, "float numerator = 0;\n        float denominator = «p.epsilon»;",
     [("linear attention, portable: epsilon 1e-5 for 1e-6", "1e-5f")]),
    (BEST, "/ std::sqrt(variance + «p.epsilon»);",
     [("group norm: epsilon 1e-6 for 1e-5", "1e-6f"),
      ("group norm: epsilon 1e-4 for 1e-5", "1e-4f")]),
    (PORTABLE, "Kokkos::sqrt(static_cast<float>(square) / count + «p.epsilon»);",
     [("group norm, portable: epsilon 1e-6 for 1e-5", "1e-6f")]),
    (BEST, "require_extent(\"layer_norm\", \"bias\", bias.size(), «c»);",
     [("layer norm by itself: epsilon 1e-6 for 1e-5", "(epsilon = 1e-6f, c)"),
      ("layer norm by itself: no epsilon", "(epsilon = 0, c)")]),
    (BEST, "{weight.data(), bias.data(), «epsilon»}, maps, to});",
     [("layer norm before projections: epsilon 1e-6 for 1e-5", "1e-6f")]),
    (BEST, "before{weight.data(), bias.data(), «epsilon»};",
     [("layer norm before a perceptron: epsilon 1e-6 for 1e-5", "1e-6f")]),
    (BEST, "p.norm_1 = {w1.data(), b1.data(), «epsilon»};",
     [("layer norm before window attention: epsilon 1e-6 for 1e-5", "1e-6f")]),
    (BEST, "p.norm_2 = {w2.data(), b2.data(), «epsilon»};",
     [("layer norm before a perceptron of windows: epsilon 1e-6 for 1e-5", "1e-6f")]),
    # Activations and norms.
    (BEST, "return x * sigmoid(x * «1.702f»);",
     [("QuickGELU: 1.7 for 1.702", "1.7f"),
      ("QuickGELU: 1.5958, that of tanh, for 1.702", "1.5958f")]),
    (PORTABLE, "return x / (T(1) + Kokkos::exp(T(«-1.702») * x));",
     [("QuickGELU, portable: 1.7 for 1.702", "-1.7")]),
    (BEST, "return x * «0.5f» * select(x < 0.0f, erfc, 2.0f - erfc);",
     [("GELU: 0.5001 for 0.5", "0.5001f")]),
    (PORTABLE, "Kokkos::erf(x * T(«0.70710678118654752440»))",
     [("GELU, portable: 0.707 for the root of one half", "0.707")]),
    (BEST, "store_partial(y + i, select(v > 0.0f, v + «1.0f», exponential(v)), c - i);\n    for",
     [("elu + 1: 1.001 for 1", "1.001f")]),
    (BEST, "/ __builtin_sqrtf(square / static_cast<float>(«c») + epsilon);\n  }",
     [("layer norm: the unbiased variance", "c - 1")]),
    (BEST, "square / static_cast<double>(«rows * width * y.row_pixels»)",
     [("group norm: the unbiased variance", "rows * width * y.row_pixels - 1")]),
    (BEST, "GroupNormParameters{«Groups», weight",
     [("group norm: half as many groups", "(Groups + 1) / 2")]),
    # Attention: scales, masks, shifts.
    (BEST, "scale == 0 ? attention_scale(«head_dim»)",
     [("CLIP's attention: scaled by the width of all heads", "width"),
      ("CLIP's attention: scaled by one dimension too many", "head_dim + 1")]),
    (BEST, "p.scale = detail::attention_scale(«c / block.heads»);",
     [("window attention: scaled by the width of all heads", "c")]),
    (BEST, "o.data(), detail::attention_scale(«operands.head_dim»)});",
     [("full class attention: scaled by the width of all heads", "q.extent(2)")]),
    (BEST, "t.region[first + row] ? «-100.0f» : 0.0f;",
     [("shifted windows are not masked", "0.0f"),
      ("shifted windows are masked by -10 for -100", "-10.0f")]),
    (PORTABLE, "score = score * p.scale + (region && region[i] != region[j] ? «window_mask» : 0.0f);\n"
               "          if (score > top) {",
     [("shifted windows, portable: masked by -10 for -100", "-10.0f")]),
    (BEST, "t.causal ? «first + row + 1» : t.keys;\n      for (std::size_t j = 0; j < count; ++j) s[j] *= t.scale;",
     [("a word sees the next one", "(first + row + 2 < t.keys ? first + row + 2 : t.keys)")]),
    (BEST, "<= Window ? 0 : «Shift»;",
     [("no window is shifted", "0"),
      ("windows are shifted by one, whatever the geometry", "1"),
      ("windows are shifted by half of them, whatever the geometry", "Window / 2")]),
    (BEST, "? 0 : y < «height - shift» ? 1 : 2;",
     [("regions of shifted windows end a row early", "height - shift - 1")]),
    # Resampling.
    (BEST, "«(static_cast<double>(i) + 0.5)» - 0.5;",
     [("bilinear: centres at a quarter for half a pixel", "(static_cast<double>(i) + 0.25)")]),
    (BEST, "static_cast<float>(in - 1) / static_cast<float>(«out - 1») : 0.0f;",
     [("class aggregation's way back: the scale of half-pixel centres", "out")]),
    (BEST, "constexpr float a = «-0.75f»;",
     [("bicubic: -0.5 for -0.75", "-0.5f"),
      ("bicubic: -0.751 for -0.75", "-0.751f")]),
    (BEST, "float const factor = 1.0f / static_cast<float>(«p.k * p.k»);\n  detail::for_each_index(\n      context, \"kovos::average_pool2d\"",
     [("average pooling: divided by one too many", "p.k * p.k + 1")]),
    (BEST, "first = index / p.c / columns / rows * p.height + «row * p.k»;",
     [("average pooling: blocks aligned with the bottom", "row * p.k + p.height % p.k")]),
    (BEST, "double const centre = (static_cast<double>(i) + «0.5») * scale;\n    auto const low",
     [("Pillow's filter: a tenth of a pixel off", "0.6")]),
    (BEST, "static_cast<std::size_t>(v + «0.5»)",
     [("Pillow's resize: sizes rounded down", "0.0")]),
    # Pictures and windows.
    (BEST, "mean{«test.pixel_mean[0]»,",
     [("the mean of red: ImageNet's for CLIP's", "123.675f"),
      ("the mean of red: 122.77 for 122.7709", "122.77f")]),
    (BEST, "deviation{«test.pixel_std[0]»,",
     [("the deviation of red: ImageNet's for CLIP's", "58.395f")]),
    (BEST, "return «(n + test.size_divisibility - 1) / test.size_divisibility * test.size_divisibility»;",
     [("pictures are padded to multiples of 16 for 32", "(n + 15) / 16 * 16")]),
    (BEST, "gather_rows(context, view.logits, rows, «-100.0f»);",
     [("classes that were cut stand at -10 for -100", "-10.0f")]),
    (BEST, "(x[i] / (down * along[i]) + y[i]) * «0.5f»;",
     [("windows and the whole: weighted by 0.499", "0.499f")]),
    (BEST, "«std::min(z.extent(1), views.height)»",
     [("a low picture keeps the rows of its padding", "z.extent(1)")]),
    (BEST, "«std::min(z.extent(2), views.width)»",
     [("a narrow picture keeps the columns of its padding", "z.extent(2)")]),
    # Which of several.
    (BEST, "static_cast<std::int32_t>(«std::max_element(p.begin(), p.end()) - p.begin()»);",
     [("a prompt is read one token before its end", "std::max_element(p.begin(), p.end()) - p.begin() - 1")]),
    (BEST, "add_in_place(context, first, table.slice(«0», 1));",
     [("the class token stands at the first patch's place", "1")]),
    (BEST, "if (wanted[«h»] == i) {",
     [("the decoder's guides are exchanged, as in the paper", "wanted.size() - 1 - h")]),
    (BEST, "guidance_projection(context, dense, «Activation::relu»);",
     [("no ReLU behind the picture's guidance", "Activation::none")]),
    (BEST, "words.mean, «Activation::relu»);",
     [("no ReLU behind the words' guidance", "Activation::none")]),
]

HEADER = """// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>

namespace kovos_planted {
inline int const number = [] {
  char const* const text = std::getenv("KOVOS_PLANTED_FAULT");
  return text == nullptr ? 0 : std::atoi(text);
}();
inline bool fault(int n) { return n == number; }
}  // namespace kovos_planted
"""


class Gone(Exception):
    pass


def plant(include):
    """Rewrites the headers below `include`. -> [(number, engine, sentence)]."""
    headers = {p: p.read_text("utf-8") for p in sorted(include.rglob("*")) if p.suffix in (".hpp", ".inc")}
    touched, faults = set(), []
    for engine, marked, wrongs in PLACES:
        before, rest = marked.split("«")
        right, after = rest.split("»")
        anchor = before + right + after
        found = [p for p, text in headers.items() if anchor in text]
        if len(found) != 1 or headers[found[0]].count(anchor) != 1:
            raise Gone(f"{sum(headers[p].count(anchor) for p in found)} places read {anchor!r}, expected one; "
                       f"say in PLACES where \"{wrongs[0][0]}\" is planted now")
        numbered = [(len(faults) + i + 1, sentence, wrong) for i, (sentence, wrong) in enumerate(wrongs)]
        choice = f"({right})"
        for number, _, wrong in reversed(numbered):
            choice = f"(::kovos_planted::fault({number}) ? ({wrong}) : {choice})"
        faults += [(number, engine, sentence) for number, sentence, _ in numbered]
        headers[found[0]] = headers[found[0]].replace(anchor, before.replace("constexpr ", "") + choice + after)
        touched.add(found[0])
    # Texts that are included in the middle of others see the switch from the header all of them begin with.
    for path in touched | {include / "core/config.hpp"}:
        text = headers[path]
        if path.suffix == ".hpp":
            text = text.replace("#pragma once\n", '#pragma once\n#include "kovos/core/planted.hpp"\n', 1)
        path.write_text(text, "utf-8")
    (include / "core/planted.hpp").write_text(HEADER, "utf-8")
    return faults


def build(tree):
    """Only the tests that are to notice, quickly compiled. -> the program."""
    for path in (tree / "tests/segmentation").glob("*_test.cpp"):
        if path.name not in TESTS:
            path.unlink()
    binary = tree / "build"
    subprocess.run(["cmake", "-S", tree, "-B", binary, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                    "-DCMAKE_CXX_FLAGS_RELEASE=-O1", "-DCMAKE_CXX_FLAGS=-w", "-DKOVOS_WARNINGS_AS_ERRORS=OFF",
                    "-DKOVOS_ENABLE_EXAMPLES=OFF", "-DKOVOS_ENABLE_BENCHMARKS=OFF"],
                   check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", binary, "--target", "kovos_test_segmentation"], check=True,
                   stdout=subprocess.DEVNULL)
    return next(p for p in binary.rglob("kovos_test_segmentation") if p.is_file())


def run(program, number, engine):
    """-> whether the tests passed, and what they first complained about. The quicker ones come first."""
    environment = {**os.environ, "KOVOS_PLANTED_FAULT": str(number), "OMP_PROC_BIND": "false",
                   "OMP_WAIT_POLICY": "passive"}
    for numbers in ("PyTorch's", "the authors'"):
        result = subprocess.run([program, f"--test-case=inference*{numbers} numbers {engine}", "--abort-after=1",
                                 "--no-colors=1"], text=True, capture_output=True, env=environment)
        complaints = [line.split("ERROR: ")[1] for line in result.stdout.splitlines() if "ERROR: " in line]
        if result.returncode != 0:
            return False, complaints[0] if complaints else f"exit code {result.returncode}"
        if not re.search(r"test cases: +1 \| +1 passed", result.stdout):
            raise SystemExit(f"one test case should compare with {numbers} numbers {engine}:\n{result.stdout}")
    return True, ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="only faults whose sentence holds this")
    parser.add_argument("--list", action="store_true", help="print the faults and stop")
    arguments = parser.parse_args()
    if arguments.list:
        for engine, _, wrongs in PLACES:
            for sentence, wrong in wrongs:
                print(f"{sentence}   ({wrong})")
        return 0
    with tempfile.TemporaryDirectory(prefix="planted_faults_") as folder:
        tree = pathlib.Path(folder) / "kovos"
        shutil.copytree(ROOT, tree, ignore=lambda at, names: [
            n for n in names if n == ".git" or n.startswith("build") and pathlib.Path(at) == ROOT])
        try:
            faults = plant(tree / "include/kovos")
        except Gone as error:
            print(error)
            return 1
        start = time.time()
        program = build(tree)
        print(f"built in {time.time() - start:.0f} s with {len(faults)} faults", flush=True)
        for engine in (BEST, PORTABLE):
            passed, complaint = run(program, 0, engine)
            if not passed:
                print(f"without a fault the tests fail {engine}: {complaint}")
                return 1
        unnoticed, count = [], 0
        for number, engine, sentence in faults:
            if arguments.only not in sentence:
                continue
            count += 1
            passed, complaint = run(program, number, engine)
            print(f"UNNOTICED {sentence}" if passed else f"noticed   {sentence}: {complaint}", flush=True)
            if passed:
                unnoticed.append(sentence)
        print(f"{count - len(unnoticed)} of {count} faults were noticed")
        return 1 if unnoticed or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
