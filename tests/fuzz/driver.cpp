// SPDX-License-Identifier: Apache-2.0

// Runs a fuzz harness without a fuzzer, with any compiler:
//
//     harness [--mutations=N] [--first=K] [--verbose] FILE|FOLDER...
//
// Each file is replayed as it is and then N times mutated. Mutation K of a file is always the same, so that
// `--first=K --mutations=1` repeats one that failed; `--verbose` prints K before each.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;

/// A few changes of the kinds that parsers trip over: flipped bits, extreme numbers, cuts, repeats, moved pieces.
Bytes mutate(Bytes bytes, std::uint64_t number) {
  std::mt19937_64 random(number * 0x9e3779b97f4a7c15u + bytes.size());
  auto const below = [&](std::size_t limit) { return limit == 0 ? 0 : static_cast<std::size_t>(random() % limit); };
  constexpr std::array<std::uint64_t, 10> numbers = {
      0, 1, 0x7f, 0xff, 0xffff, 0x7fffffff, 0xffffffff, 0x80000000, ~std::uint64_t{0}, ~std::uint64_t{0} >> 1};
  for (std::size_t change = 1 + below(4); change > 0; --change) {
    std::size_t const at = below(bytes.size() + 1);
    std::size_t const length = std::min(bytes.size() - at, 1 + below(below(4) == 0 ? 256 : 8));
    auto const from = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    auto const to = from + static_cast<std::ptrdiff_t>(length);
    switch (below(7)) {
      case 0:
        if (length > 0) *from = static_cast<std::uint8_t>(*from ^ (1u << below(8)));
        break;
      case 1:
        if (length > 0) *from = static_cast<std::uint8_t>(random());
        break;
      case 2: {
        std::uint64_t const value = numbers[below(numbers.size())];
        std::size_t const width = std::min(length, std::size_t{1} << below(4));
        for (std::size_t i = 0; i < width; ++i) bytes[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
        break;
      }
      case 3:
        bytes.erase(from, to);
        break;
      case 4: {
        Bytes const piece(from, to);
        bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(below(bytes.size() + 1)), piece.begin(), piece.end());
        break;
      }
      case 5:
        bytes.insert(from, 1 + below(4), static_cast<std::uint8_t>(random()));
        break;
      default:
        if (below(8) == 0) bytes.resize(at);
        break;
    }
  }
  return bytes;
}

struct Options {
  std::uint64_t mutations = 0, first = 0;
  bool verbose = false;
};

void run(std::filesystem::path const& path, Options const& options) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) {
    std::cerr << path << " cannot be read\n";
    std::exit(2);
  }
  Bytes const original{std::istreambuf_iterator<char>(stream), {}};
  LLVMFuzzerTestOneInput(original.data(), original.size());
  for (std::uint64_t k = options.first; k < options.first + options.mutations; ++k) {
    if (options.verbose) std::cerr << path.string() << " mutation " << k << std::endl;
    // A copy without slack, so that a sanitizer sees every byte too far.
    Bytes input = mutate(original, k);
    input.shrink_to_fit();
    try {
      LLVMFuzzerTestOneInput(input.data(), input.size());
    } catch (std::exception const& error) {
      std::cerr << path.string() << " mutation " << k << ": " << error.what() << '\n';
      std::exit(1);
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  Options options;
  std::vector<std::filesystem::path> files;
  for (int i = 1; i < count; ++i) {
    std::string const argument = arguments[i];
    if (argument.starts_with("--mutations=")) {
      options.mutations = std::stoull(argument.substr(12));
    } else if (argument.starts_with("--first=")) {
      options.first = std::stoull(argument.substr(8));
    } else if (argument == "--verbose") {
      options.verbose = true;
    } else if (std::filesystem::is_directory(argument)) {
      for (auto const& entry : std::filesystem::directory_iterator(argument)) {
        if (entry.is_regular_file()) files.push_back(entry.path());
      }
    } else {
      files.emplace_back(argument);
    }
  }
  if (files.empty()) {
    std::cerr << "usage: " << arguments[0] << " [--mutations=N] [--first=K] [--verbose] FILE|FOLDER...\n";
    return 2;
  }
  std::sort(files.begin(), files.end());
  for (auto const& file : files) run(file, options);
  std::cout << files.size() << " files, " << options.mutations << " mutations of each: no crash\n";
}
