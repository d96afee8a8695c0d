// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace kovos {

/// Base of everything Kovos throws. what() says what was wrong, where, what was expected and got, and what to do.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A file or folder could not be opened, read, written or renamed.
class FileError : public Error {
 public:
  using Error::Error;
};

/// A weights file is malformed, of another architecture, or lacks keys.
class CheckpointError : public Error {
 public:
  using Error::Error;
};

/// A picture could not be decoded or encoded.
class ImageError : public Error {
 public:
  using Error::Error;
};

/// Tensor extents do not fit together.
class ShapeError : public Error {
 public:
  using Error::Error;
};

/// Words, templates or a vocabulary cannot be used.
class TextError : public Error {
 public:
  using Error::Error;
};

/// An option or a configuration value is out of its range.
class ConfigError : public Error {
 public:
  using Error::Error;
};

/// A computation cannot be differentiated as it stands.
class GradientError : public Error {
 public:
  using Error::Error;
};

/// Pictures and labels to learn from are missing or do not fit together.
class DataError : public Error {
 public:
  using Error::Error;
};

/// What computes is not there, or its memory is used up.
class DeviceError : public Error {
 public:
  using Error::Error;
};

namespace detail {
template <class... Parts>
std::string concatenate(Parts const&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}
}  // namespace detail

/// Throws E with the concatenation of the parts.
template <class E, class... Parts>
[[noreturn]] void fail(Parts const&... parts) {
  throw E(detail::concatenate(parts...));
}

/// Throws E with the concatenation of the parts unless the condition holds; the text is only built on failure.
template <class E, class... Parts>
void require(bool condition, Parts const&... parts) {
  if (!condition) fail<E>(parts...);
}

/// Throws ShapeError "[where] name is got, expected expected" unless both numbers agree.
inline void require_extent(std::string_view where, std::string_view name, std::size_t got, std::size_t expected) {
  if (got != expected) fail<ShapeError>("[", where, "] ", name, " is ", got, ", expected ", expected);
}

}  // namespace kovos
