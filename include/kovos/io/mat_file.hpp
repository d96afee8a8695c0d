// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/io/file.hpp"

namespace kovos {

/// A real matrix of a MATLAB file, row-major [rows, columns] whatever the file's order.
struct MatMatrix {
  std::size_t rows = 0, columns = 0;
  std::vector<double> values;  // [rows * columns]; integers are exact
};

namespace detail {

/// One element of a MATLAB 5 file: a type and its bytes.
struct MatElement {
  std::uint32_t type = 0;
  std::span<std::byte const> bytes;
};

/// The types of elements.
enum MatType : std::uint32_t {
  mat_i8 = 1,
  mat_u8 = 2,
  mat_i16 = 3,
  mat_u16 = 4,
  mat_i32 = 5,
  mat_u32 = 6,
  mat_f32 = 7,
  mat_f64 = 9,
  mat_i64 = 12,
  mat_u64 = 13,
  mat_matrix = 14,
  mat_compressed = 15
};

/// Reads MATLAB 5 files as far as full real matrices of numbers go.
class MatReader {
 public:
  MatReader(std::span<std::byte const> bytes, std::string_view name) : rest_(bytes), name_(name) {
    constexpr std::size_t header = 128;
    auto const text = [&](std::size_t at, std::size_t count) {
      return std::string_view(reinterpret_cast<char const*>(bytes.data()) + at, count);
    };
    bool const hdf5 = (bytes.size() >= header && text(0, 10) == "MATLAB 7.3") ||
                      (bytes.size() >= 8 && text(0, 8) == "\x89HDF\r\n\x1a\n");
    if (hdf5) complain("is a MATLAB 7.3 file, which is HDF5, expected version 5: save it in MATLAB with '-v7'");
    if (bytes.size() < header) complain("is ", bytes.size(), " bytes long, a MATLAB 5 file has at least ", header);
    auto const mark = text(126, 2);
    if (mark != "IM" && mark != "MI") {
      complain("is no MATLAB 5 file: its header does not end with IM or MI. Files of MATLAB 4 are not read: save it ",
               "with '-v7'");
    }
    big_endian_ = mark == "MI";
    auto const version = static_cast<std::uint16_t>(number(rest_.subspan(124), 2));
    if (version != 0x0100) complain("has the version ", version, ", expected 256, which is MATLAB 5");
    rest_ = rest_.subspan(header);
  }

  MatMatrix read(std::string_view variable) {
    std::string others;
    while (!rest_.empty()) {
      // Only here, at the outermost level, a compressed element is followed by the next without padding.
      MatElement element = next(rest_);
      std::vector<std::byte> unpacked;
      if (element.type == mat_compressed) {
        unpacked = inflated(element.bytes);
        std::span<std::byte const> inner = unpacked;
        element = next(inner);
      }
      if (element.type != mat_matrix || element.bytes.empty()) continue;
      auto body = element.bytes;
      auto const flags = next(body), extents = next(body), label = next(body);
      // Objects of classes are arranged in another way and nothing that is looked for.
      if (label.type != mat_i8 && label.type != mat_u8) continue;
      std::string_view const found(reinterpret_cast<char const*>(label.bytes.data()), label.bytes.size());
      if (found == variable) return matrix(flags, extents, body, variable);
      if (!found.empty() && others.size() < 500) others += (others.empty() ? "" : ", ") + in_quotes(found);
    }
    complain("has no variable ", in_quotes(variable), others.empty() ? ", nor any other" : ", only ", others);
  }

 private:
  template <class... Parts>
  [[noreturn]] void complain(Parts const&... parts) const {
    fail<FileError>(name_, " ", parts...);
  }

  std::uint64_t number(std::span<std::byte const> bytes, std::size_t size) const {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i) {
      value = value << 8 | std::to_integer<std::uint64_t>(bytes[big_endian_ ? i : size - 1 - i]);
    }
    return value;
  }

  /// Takes one element off the front of `from`, with its padding.
  MatElement next(std::span<std::byte const>& from) const {
    if (from.size() < 8) complain("is truncated: an element begins ", from.size(), " bytes before its end");
    auto const first = static_cast<std::uint32_t>(number(from, 4));
    std::size_t tag = 8, size = 0, padding = 0;
    MatElement element;
    if (first >> 16 != 0) {
      // The short form: size and type share a word and the bytes follow in the next.
      element.type = first & 0xffff;
      size = first >> 16;
      if (size > 4) complain("is damaged: a short element of ", size, " bytes, expected at most 4");
      tag = 4;
      padding = 4 - size;
    } else {
      element.type = first;
      size = static_cast<std::size_t>(number(from.subspan(4), 4));
      if (element.type != mat_compressed) padding = (8 - size % 8) % 8;
    }
    if (size > from.size() - tag) {
      complain("is truncated: an element of ", size, " bytes where ", from.size() - tag, " remain");
    }
    element.bytes = from.subspan(tag, size);
    // Some writers leave the padding of the last element out.
    from = from.subspan(std::min(from.size(), tag + size + padding));
    return element;
  }

  std::vector<std::byte> inflated(std::span<std::byte const> packed) const {
    constexpr std::size_t most = std::size_t{1} << 30;
    ::z_stream stream = {};
    if (::inflateInit(&stream) != Z_OK) complain("could not be unpacked: zlib could not be started");
    struct End {
      ::z_stream& stream;
      ~End() { ::inflateEnd(&stream); }
    } const end{stream};
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data()));
    stream.avail_in = static_cast<uInt>(packed.size());
    std::vector<std::byte> unpacked;
    std::vector<std::byte> chunk(std::size_t{1} << 16);
    int state = Z_OK;
    while (state == Z_OK) {
      stream.next_out = reinterpret_cast<Bytef*>(chunk.data());
      stream.avail_out = static_cast<uInt>(chunk.size());
      state = ::inflate(&stream, Z_NO_FLUSH);
      auto const count = static_cast<std::ptrdiff_t>(chunk.size() - stream.avail_out);
      unpacked.insert(unpacked.end(), chunk.begin(), chunk.begin() + count);
      if (unpacked.size() > most)
        complain("has a variable of more than ", most, " bytes, which is the most it may have");
    }
    if (state != Z_STREAM_END) complain("is damaged: a compressed variable cannot be unpacked");
    return unpacked;
  }

  MatMatrix matrix(MatElement flags, MatElement extents, std::span<std::byte const> body,
                   std::string_view variable) const {
    if (flags.type != mat_u32 || flags.bytes.size() != 8)
      complain("is damaged: ", in_quotes(variable), " has no flags");
    auto const word = static_cast<std::uint32_t>(number(flags.bytes, 4));
    auto const kind = word & 0xff;
    bool const numeric = kind >= 6 && kind <= 15;
    bool const complex = (word & 0x0800) != 0;
    if (!numeric || complex) {
      constexpr std::array<std::string_view, 6> kinds = {"nothing known", "a cell array", "a struct",
                                                         "an object",     "a text",       "a sparse matrix"};
      complain("has the variable ", in_quotes(variable), ", which is ",
               complex ? "complex" : kinds[kind < kinds.size() ? kind : 0], ", expected a full matrix of real numbers");
    }
    if (extents.type != mat_i32 || extents.bytes.size() != 8) {
      complain("has the variable ", in_quotes(variable), " with ", extents.bytes.size() / 4, " extents, expected 2");
    }
    MatMatrix result;
    result.rows = static_cast<std::size_t>(number(extents.bytes, 4));
    result.columns = static_cast<std::size_t>(number(extents.bytes.subspan(4), 4));
    auto const data = next(body);
    std::size_t const size = size_of_number(data.type);
    if (size == 0) complain("has the variable ", in_quotes(variable), " stored as the unknown type ", data.type);
    // Below 2^32 each, so the product does not overflow.
    if (data.bytes.size() % size != 0 || data.bytes.size() / size != result.rows * result.columns) {
      complain("is damaged: ", in_quotes(variable), " is ", result.rows, " x ", result.columns, " but has ",
               data.bytes.size(), " bytes of ", size, " per number");
    }
    result.values.resize(result.rows * result.columns);
    for (std::size_t column = 0, i = 0; column < result.columns; ++column) {
      for (std::size_t row = 0; row < result.rows; ++row, ++i) {
        result.values[row * result.columns + column] = value(data.bytes.subspan(i * size, size), data.type);
      }
    }
    return result;
  }

  static std::size_t size_of_number(std::uint32_t type) {
    switch (type) {
      case mat_i8:
      case mat_u8:
        return 1;
      case mat_i16:
      case mat_u16:
        return 2;
      case mat_i32:
      case mat_u32:
      case mat_f32:
        return 4;
      case mat_f64:
      case mat_i64:
      case mat_u64:
        return 8;
      default:
        return 0;
    }
  }

  double value(std::span<std::byte const> bytes, std::uint32_t type) const {
    std::uint64_t const bits = number(bytes, bytes.size());
    switch (type) {
      case mat_i8:
        return static_cast<std::int8_t>(bits);
      case mat_i16:
        return static_cast<std::int16_t>(bits);
      case mat_i32:
        return static_cast<std::int32_t>(bits);
      case mat_f32:
        return std::bit_cast<float>(static_cast<std::uint32_t>(bits));
      case mat_f64:
        return std::bit_cast<double>(bits);
      case mat_i64:
        return exact(static_cast<double>(static_cast<std::int64_t>(bits)));
      case mat_u64:
        return exact(static_cast<double>(bits));
      default:
        return static_cast<double>(bits);
    }
  }

  double exact(double number) const {
    if (std::abs(number) > 0x1p53) complain("has an integer beyond 2^53");
    return number;
  }

  std::span<std::byte const> rest_;
  std::string name_;
  bool big_endian_ = false;
};

}  // namespace detail

/// The matrix `variable` of the bytes of a MATLAB 5 file (what MATLAB saves with '-v6' and '-v7'), compressed or not,
/// of either byte order. `name` is what messages call the file. Throws FileError if it is damaged, of another version
/// (7.3 is HDF5), lacks the variable, or the variable is no full matrix of real numbers.
inline MatMatrix parse_mat(std::span<std::byte const> bytes, std::string_view variable, std::string_view name) {
  return detail::MatReader(bytes, name).read(variable);
}

/// The matrix `variable` of a MATLAB 5 file. Throws as parse_mat, or FileError if the file cannot be read.
inline MatMatrix read_mat(std::filesystem::path const& path, std::string_view variable) {
  auto const bytes = read_file(path);
  return parse_mat(bytes, variable, detail::shown(path));
}

}  // namespace kovos
