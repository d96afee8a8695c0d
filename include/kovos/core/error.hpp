// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <string_view>

#include "kovos/core/config.hpp"

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

/// One part of a sentence without its type, so that sentences are put together by one function and not by one for every
/// choice of types. Texts are not copied.
class SentencePart {
 public:
  SentencePart(std::string_view text) : kind_(Kind::text), length_(text.size()) { value_.text = text.data(); }
  SentencePart(std::string const& text) : SentencePart(std::string_view(text)) {}
  SentencePart(char const* text) : SentencePart(std::string_view(text)) {}
  SentencePart(char letter) : kind_(Kind::letter) { value_.letter = letter; }
  template <std::unsigned_integral T>
  requires(!std::same_as<T, unsigned char>) SentencePart(T number) : kind_(Kind::natural) { value_.natural = number; }
  template <std::signed_integral T>
  requires(!std::same_as<T, signed char>) SentencePart(T number) : kind_(Kind::integer) { value_.integer = number; }
  template <std::floating_point T>
  SentencePart(T number) : kind_(Kind::real) {
    value_.real = static_cast<double>(number);
  }
  /// What can say itself, such as extents, is asked on failure only.
  template <class T>
  requires requires(T const& object) {
    { object.to_string() } -> std::same_as<std::string>;
  }
  SentencePart(T const& object)
      : kind_(Kind::object), say_([](void const* self) { return static_cast<T const*>(self)->to_string(); }) {
    value_.object = &object;
  }

  /// Adds it as an output stream would write it.
  void append_to(std::string& sentence) const {
    std::array<char, 32> digits{};
    switch (kind_) {
      case Kind::text:
        sentence.append(value_.text, length_);
        break;
      case Kind::letter:
        sentence.push_back(value_.letter);
        break;
      case Kind::natural:
        sentence += std::to_string(value_.natural);
        break;
      case Kind::integer:
        sentence += std::to_string(value_.integer);
        break;
      case Kind::real:
        sentence.append(digits.data(),
                        static_cast<std::size_t>(std::snprintf(digits.data(), digits.size(), "%g", value_.real)));
        break;
      case Kind::object:
        sentence += say_(value_.object);
        break;
    }
  }

 private:
  enum class Kind { text, letter, natural, integer, real, object };
  Kind kind_;
  std::size_t length_ = 0;
  std::string (*say_)(void const*) = nullptr;
  union {
    char const* text;
    char letter;
    unsigned long long natural;
    long long integer;
    double real;
    void const* object;
  } value_;
};

KOVOS_COLD inline std::string sentence(SentencePart const* parts, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) parts[i].append_to(text);
  return text;
}

template <class E>
KOVOS_COLD [[noreturn]] void throw_sentence(SentencePart const* parts, std::size_t count) {
  throw E(sentence(parts, count));
}

template <class... Parts>
std::string concatenate(Parts const&... parts) {
  SentencePart const list[] = {SentencePart(parts)...};
  return sentence(list, sizeof...(parts));
}

}  // namespace detail

/// Throws E with the concatenation of the parts: texts, characters, numbers, and what has to_string().
template <class E, class... Parts>
KOVOS_AT_CALLER [[noreturn]] inline void fail(Parts const&... parts) {
  detail::SentencePart const list[] = {detail::SentencePart(parts)...};
  detail::throw_sentence<E>(list, sizeof...(parts));
}

/// Throws E with the concatenation of the parts unless the condition holds. The parts are put together on failure only;
/// what the caller computes for them is computed always.
template <class E, class... Parts>
KOVOS_AT_CALLER inline void require(bool condition, Parts const&... parts) {
  if (!condition) [[unlikely]]
    fail<E>(parts...);
}

/// Throws ShapeError "[where] name is got, expected expected" unless both numbers agree.
inline void require_extent(std::string_view where, std::string_view name, std::size_t got, std::size_t expected) {
  if (got != expected) fail<ShapeError>("[", where, "] ", name, " is ", got, ", expected ", expected);
}

}  // namespace kovos
