// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kovos/core/dtype.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/io/file.hpp"
#include "kovos/io/named_tensors.hpp"
#include "kovos/io/tensor_bytes.hpp"

namespace kovos {

namespace detail {

inline constexpr std::string_view npy_magic{"\x93NUMPY", 6};

/// NumPy's letter and size of a type, without the byte order; empty if NumPy has none.
constexpr std::string_view npy_code(DType dtype) {
  switch (dtype) {
    case DType::boolean:
      return "b1";
    case DType::u8:
      return "u1";
    case DType::i8:
      return "i1";
    case DType::u16:
      return "u2";
    case DType::i16:
      return "i2";
    case DType::f16:
      return "f2";
    case DType::u32:
      return "u4";
    case DType::i32:
      return "i4";
    case DType::f32:
      return "f4";
    case DType::u64:
      return "u8";
    case DType::i64:
      return "i8";
    case DType::f64:
      return "f8";
    case DType::bf16:
    case DType::f8_e4m3:
    case DType::f8_e5m2:
      return "";
  }
  return "";
}

/// Reads the header of a .npy file, a Python dictionary of three entries written out as text.
class NpyHeader {
 public:
  DType dtype = DType::f32;
  bool big_endian = false;
  bool fortran_order = false;
  std::vector<std::size_t> shape;

  NpyHeader(std::string_view text, std::string where) : rest_(text), where_(std::move(where)) {
    bool has_descr = false, has_order = false, has_shape = false;
    expect('{');
    while (!accept('}')) {
      auto const key = read_text();
      expect(':');
      bool const known = key == "descr" || key == "fortran_order" || key == "shape";
      if (!known) complain("has the unknown entry ", in_quotes(key));
      bool& seen = key == "descr" ? has_descr : key == "fortran_order" ? has_order : has_shape;
      if (std::exchange(seen, true)) complain("has the entry ", in_quotes(key), " twice");
      if (key == "descr") {
        read_descr();
      } else if (key == "fortran_order") {
        read_order();
      } else {
        read_shape();
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (!rest_.empty()) complain("goes on after its dictionary");
    if (!has_descr || !has_order || !has_shape) complain("lacks descr, fortran_order or shape");
  }

 private:
  static constexpr std::size_t most_extents = 64;

  template <class... Parts>
  [[noreturn]] void complain(Parts const&... parts) const {
    fail<FileError>("the .npy header of ", where_, " ", parts...);
  }
  void skip_space() {
    auto const end = rest_.find_first_not_of(" \t\r\n");
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end);
  }
  bool accept(char c) {
    skip_space();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!accept(c)) complain("lacks a ", c, " near ", in_quotes(rest_.substr(0, 20)));
  }
  std::string_view read_text() {
    skip_space();
    char const quote = rest_.empty() ? '\0' : rest_.front();
    if (quote != '\'' && quote != '"') complain("lacks a quoted text near ", in_quotes(rest_.substr(0, 20)));
    rest_.remove_prefix(1);
    auto const end = rest_.find(quote);
    if (end == std::string_view::npos) complain("has a text without an end");
    auto const text = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return text;
  }
  void read_descr() {
    skip_space();
    if (!rest_.empty() && rest_.front() == '[') complain("describes a structured type, expected plain numbers");
    auto const text = read_text();
    using enum DType;
    if (text.size() >= 2 && std::string_view("<>|=").find(text.front()) != std::string_view::npos) {
      if (text[1] == 'O') complain("describes pickled Python objects, which are refused, expected plain numbers");
      for (auto known : {boolean, u8, i8, u16, i16, f16, u32, i32, f32, u64, i64, f64}) {
        if (text.substr(1) != npy_code(known)) continue;
        if (text.front() == '|' && size_of(known) > 1) break;
        dtype = known;
        big_endian = text.front() == '>';
        return;
      }
    }
    complain("has the element type ", in_quotes(text), ", expected booleans, integers or floats of 16 to 64 bits");
  }
  void read_order() {
    skip_space();
    for (bool const value : {true, false}) {
      std::string_view const word = value ? "True" : "False";
      if (!rest_.starts_with(word)) continue;
      rest_.remove_prefix(word.size());
      fortran_order = value;
      return;
    }
    complain("has a fortran_order that is neither True nor False");
  }
  void read_shape() {
    expect('(');
    while (!accept(')')) {
      skip_space();
      std::size_t value = 0, digits = 0;
      while (digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '9') {
        auto const digit = static_cast<std::size_t>(rest_[digits++] - '0');
        if (value > (std::numeric_limits<std::size_t>::max() - digit) / 10) complain("has an extent beyond 64 bits");
        value = value * 10 + digit;
      }
      if (digits == 0) complain("has a shape that is not a tuple of numbers");
      rest_.remove_prefix(digits);
      if (!rest_.empty() && rest_.front() == 'L') rest_.remove_prefix(1);  // as Python 2 wrote
      if (shape.size() == most_extents) complain("has more than ", most_extents, " extents");
      shape.push_back(value);
      if (!accept(',')) {
        if (shape.size() == 1) complain("has a shape that is not a tuple");
        expect(')');
        return;
      }
    }
  }

  std::string_view rest_;
  std::string where_;
};

}  // namespace detail

/// Reads the bytes of a NumPy array file. Little-endian arrays in C order point into `content`, which `owner` must keep
/// alive; others are converted into a copy. Throws FileError for damaged files, structured types and pickled objects.
/// Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, versions 1 to 3.
inline TensorBytes parse_npy(std::span<std::byte const> content, std::string const& source_name,
                             std::shared_ptr<void const> owner) {
  std::string const where = detail::in_quotes(source_name);
  constexpr std::size_t longest_header = 65536;
  auto const& magic = detail::npy_magic;
  require<FileError>(content.size() >= 10 && std::memcmp(content.data(), magic.data(), magic.size()) == 0, where,
                     " is not a .npy file: it does not begin with NumPy's mark");
  auto const major = std::to_integer<unsigned>(content[6]);
  require<FileError>(major >= 1 && major <= 3, where, " has .npy version ", major, ", expected 1 to 3");
  std::size_t const begin = major == 1 ? 10 : 12;
  require<FileError>(content.size() >= begin, where, " ends inside its header: is it truncated?");
  std::size_t const length = major == 1 ? detail::load_element<std::uint16_t>(content.data() + 8)
                                        : detail::load_element<std::uint32_t>(content.data() + 8);
  require<FileError>(length <= longest_header && length <= content.size() - begin, where, " announces a header of ",
                     length, " bytes, expected at most ", std::min(longest_header, content.size() - begin));
  detail::NpyHeader header({reinterpret_cast<char const*>(content.data()) + begin, length}, where);

  TensorBytes result;
  result.dtype = header.dtype;
  result.shape = std::move(header.shape);
  std::size_t const width = size_of(header.dtype);
  auto const size = detail::checked_product(result.shape, width);
  std::size_t const left = content.size() - begin - length;
  require<FileError>(size.has_value(), where, " has a shape too large for 64 bits");
  require<FileError>(*size <= left, where, " has ", left, " bytes of data, expected ", *size, ": is it truncated?");
  result.bytes = content.subspan(begin + length, *size);
  bool const swapped = header.big_endian && width > 1;
  bool const transposed = header.fortran_order && result.shape.size() > 1 && *size > 0;
  if (!swapped && !transposed) {
    result.owner = std::move(owner);
    return result;
  }

  auto copy = std::make_shared<std::vector<std::byte>>(result.bytes.begin(), result.bytes.end());
  if (transposed) {
    std::size_t const rank = result.shape.size();
    std::vector<std::size_t> strides(rank, 1), index(rank, 0);
    for (std::size_t k = 1; k < rank; ++k) strides[k] = strides[k - 1] * result.shape[k - 1];
    std::size_t source = 0;
    for (std::size_t written = 0; written < *size; written += width) {
      std::memcpy(copy->data() + written, result.bytes.data() + source * width, width);
      for (std::size_t k = rank; k-- > 0;) {
        source += strides[k];
        if (++index[k] < result.shape[k]) break;
        source -= index[k] * strides[k];
        index[k] = 0;
      }
    }
  }
  if (swapped) {
    for (auto at = copy->begin(); at != copy->end(); at += static_cast<std::ptrdiff_t>(width)) {
      std::reverse(at, at + static_cast<std::ptrdiff_t>(width));
    }
  }
  result.bytes = *copy;
  result.owner = std::move(copy);
  return result;
}

/// Maps and reads a .npy file. Throws FileError.
inline TensorBytes read_npy(std::filesystem::path const& path) {
  auto const file = MappedFile::open(path);
  return parse_npy(file->bytes(), path.string(), file);
}

/// Writes a C-ordered array atomically. Throws ShapeError unless the bytes match, ConfigError for types NumPy lacks
/// (bf16, f8), FileError if the file cannot be written.
inline void write_npy(std::filesystem::path const& path, DType dtype, std::span<std::size_t const> shape,
                      std::span<std::byte const> bytes) {
  auto const code = detail::npy_code(dtype);
  require<ConfigError>(!code.empty(), "cannot write ", detail::shown(path), ": NumPy has no type for ", name_of(dtype),
                       ", convert it to F32 first");
  require<ShapeError>(detail::checked_product(shape, size_of(dtype)) == bytes.size(), "[write_npy] ", bytes.size(),
                      " bytes do not match the shape");
  std::string header = "{'descr': '";
  header += size_of(dtype) == 1 ? '|' : '<';
  header += code;
  header += "', 'fortran_order': False, 'shape': (";
  for (std::size_t k = 0; k < shape.size(); ++k) header += (k > 0 ? " " : "") + std::to_string(shape[k]) + ",";
  if (shape.size() > 1) header.pop_back();
  header += "), }";
  bool const wide = header.size() + 64 > std::numeric_limits<std::uint16_t>::max();
  std::size_t const prefix = wide ? 12 : 10;
  header.append(63 - (prefix + header.size()) % 64, ' ');
  header += '\n';
  write_file_atomically(path, [&](std::ostream& stream) {
    stream << detail::npy_magic << (wide ? '\2' : '\1') << '\0';
    auto const length = static_cast<std::uint32_t>(header.size());
    stream.write(reinterpret_cast<char const*>(&length), wide ? 4 : 2);
    stream << header;
    stream.write(reinterpret_cast<char const*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  });
}

}  // namespace kovos
