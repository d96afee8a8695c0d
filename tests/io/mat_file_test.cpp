// SPDX-License-Identifier: Apache-2.0
#include "kovos/io/mat_file.hpp"

#include <doctest/doctest.h>

#include <string>

#include "kovos/io/safetensors.hpp"
#include "kovos/io/tensor_bytes.hpp"
#include "support.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {

std::string refusal(std::string const& text, std::string_view variable = "LabelMap") {
  return message_of<FileError>([&] { (void)parse_mat(as_bytes(text), variable, "test.mat"); });
}

}  // namespace

TEST_CASE("mat: matrices of either byte order, compressed or not, are what SciPy reads") {
  auto const expected = read_safetensors(test_data("published/expected.safetensors"));
  for (std::string const name :
       {"plain", "compressed", "among_others", "big_endian", "big_endian_compressed", "narrow", "double", "tiny"}) {
    CAPTURE(name);
    auto const matrix = read_mat(test_data("published/" + name + ".mat"), "LabelMap");
    auto const& tensor = expected.tensors.at("mat." + name);
    auto const labels = to_float(tensor);
    REQUIRE(matrix.rows == tensor.shape[0]);
    REQUIRE(matrix.columns == tensor.shape[1]);
    REQUIRE(matrix.values.size() == labels.size());
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < labels.size(); ++i) wrong += matrix.values[i] != static_cast<double>(labels[i]) + 1;
    CHECK(wrong == 0);
  }
}

TEST_CASE("mat: what is not a full real matrix is refused by what it is") {
  auto const text = load(test_data("published/among_others.mat"));
  CHECK(contains(refusal(text, "nothing"), "test.mat has no variable 'nothing', only 'text', 'cell', 'struct', "));
  CHECK(contains(refusal(text, "text"), "'text', which is a text, expected a full matrix of real numbers"));
  CHECK(contains(refusal(text, "cell"), "a cell array"));
  CHECK(contains(refusal(text, "struct"), "a struct"));
  CHECK(contains(refusal(text, "sparse"), "a sparse matrix"));
  CHECK(contains(refusal(text, "complex"), "is complex"));
  CHECK(contains(refusal(text, "cube"), "3 extents, expected 2"));
}

TEST_CASE("mat: other files and damage are refused with the reason") {
  CHECK(contains(refusal(""), "0 bytes long"));
  CHECK(contains(refusal(std::string(200, 'x')), "no MATLAB 5 file"));
  CHECK(contains(refusal("\x89HDF\r\n\x1a\n" + std::string(600, '\0')), "MATLAB 7.3 file, which is HDF5"));
  std::string hdf5 = "MATLAB 7.3 MAT-file, Platform: GLNXA64";
  hdf5.resize(124, ' ');
  CHECK(contains(refusal(hdf5 + std::string("\x00\x02IM", 4)), "save it in MATLAB with '-v7'"));

  for (std::string const name : {"plain", "compressed", "tiny"}) {
    CAPTURE(name);
    auto const text = load(test_data("published/" + name + ".mat"));
    // The last bytes may be padding.
    for (std::size_t length = 0; length + 8 < text.size(); ++length) {
      CAPTURE(length);
      auto const cut = text.substr(0, length);
      CHECK_THROWS_AS((void)parse_mat(as_bytes(cut), "LabelMap", "cut.mat"), FileError);
    }
  }
  auto damaged = load(test_data("published/compressed.mat"));
  damaged[300] = static_cast<char>(damaged[300] ^ 1);
  CHECK(contains(refusal(damaged), "cannot be unpacked"));
  // 2^31 x 2^31 numbers are not allocated.
  auto huge = load(test_data("published/plain.mat"));
  for (std::size_t const at : {160u, 164u}) huge.replace(at, 4, raw(0x7fffffffu));
  CHECK(contains(refusal(huge), "is damaged: 'LabelMap' is 2147483647 x 2147483647 but has 442 bytes"));
}
