// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kovos/io/named_tensors.hpp"

namespace kovos::test {

/// A fresh folder that removes itself.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    static int counter = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("kovos-io-" + std::to_string(::getpid()) + "-" + std::to_string(counter++));
    std::filesystem::create_directories(path_);
  }
  TemporaryFolder(TemporaryFolder const&) = delete;
  TemporaryFolder& operator=(TemporaryFolder const&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::filesystem::path operator/(std::string const& name) const { return path_ / name; }
  std::filesystem::path const& path() const { return path_; }
  std::size_t files() const {
    std::size_t count = 0;
    for ([[maybe_unused]] auto const& entry : std::filesystem::directory_iterator(path_)) ++count;
    return count;
  }

 private:
  std::filesystem::path path_;
};

inline void store(std::filesystem::path const& path, std::string_view content) {
  std::ofstream(path, std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size()));
}

inline std::string load(std::filesystem::path const& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

inline std::span<std::byte const> as_bytes(std::string_view text) {
  return {reinterpret_cast<std::byte const*>(text.data()), text.size()};
}
inline std::string as_text(std::span<std::byte const> bytes) {
  return {reinterpret_cast<char const*>(bytes.data()), bytes.size()};
}

/// The little-endian bytes of numbers, one after the other.
template <class... T>
std::string raw(T... values) {
  std::string text;
  auto const append = [&](auto value) {
    char bytes[sizeof(value)];
    std::memcpy(bytes, &value, sizeof(value));
    text.append(bytes, sizeof(value));
  };
  (append(values), ...);
  return text;
}

/// what() of the E that the action throws; a note that no check will match if it throws nothing or something else.
template <class E, class Action>
std::string message_of(Action const& action) {
  try {
    action();
  } catch (E const& error) {
    return error.what();
  } catch (std::exception const& error) {
    return std::string("another exception: ") + error.what();
  }
  return "nothing was thrown";
}

inline bool contains(std::string const& text, std::string_view part) { return text.find(part) != std::string::npos; }

/// A folder of test data that need not exist: $KOVOS_SHARED_DIR, else the macro of that name.
inline std::optional<std::filesystem::path> shared_file(std::string const& name) {
  std::filesystem::path folder;
#ifdef KOVOS_SHARED_DIR
  folder = KOVOS_SHARED_DIR;
#endif
  if (auto const* value = std::getenv("KOVOS_SHARED_DIR")) folder = value;
  if (folder.empty() || !std::filesystem::exists(folder / name)) return std::nullopt;
  return folder / name;
}

inline std::filesystem::path test_data(std::string const& name) {
  return std::filesystem::path(KOVOS_TEST_DATA) / name;
}

/// Empty if both hold the same names, types, shapes and bytes; else the first difference.
inline std::string difference(NamedTensors const& a, NamedTensors const& b) {
  for (auto const& [name, tensor] : a.tensors) {
    auto const found = b.tensors.find(name);
    if (found == b.tensors.end()) return name + " is missing";
    if (found->second.dtype != tensor.dtype) return name + " has another dtype";
    if (found->second.shape != tensor.shape) return name + " has another shape";
    if (as_text(found->second.bytes) != as_text(tensor.bytes)) return name + " has other values";
  }
  return a.tensors.size() == b.tensors.size() ? "" : "there are more tensors than expected";
}

}  // namespace kovos::test

/// Checks that the expression throws this exception with this part of a sentence in it.
#define CHECK_FAILS(exception, part, ...)                                                  \
  do {                                                                                     \
    auto const message = kovos::test::message_of<exception>([&] { (void)(__VA_ARGS__); }); \
    INFO(message);                                                                         \
    CHECK(kovos::test::contains(message, part));                                           \
    CHECK_FALSE(kovos::test::contains(message, "another exception"));                      \
  } while (false)
