// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/data/folder_layout.hpp"
#include "kovos/io/file.hpp"

namespace kovos::detail {

/// The names of pictures in a file, one per line; blanks around them and empty lines do not count. Throws FileError.
inline std::vector<std::string> read_name_list(std::filesystem::path const& path) {
  auto const bytes = read_file(path, std::size_t{16} << 20);
  std::string_view text(reinterpret_cast<char const*>(bytes.data()), bytes.size());
  std::vector<std::string> names;
  while (!text.empty()) {
    auto const end = std::min(text.find('\n'), text.size());
    auto const line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    constexpr std::string_view blanks = " \t\r\v\f";
    auto const first = line.find_first_not_of(blanks);
    if (first != line.npos) names.emplace_back(line.substr(first, line.find_last_not_of(blanks) - first + 1));
  }
  return names;
}

/// Throws DataError unless the files `image` and `labels` of each picture, which `source` names, are there.
template <class Pictures>
void require_files(Pictures const& pictures, std::filesystem::path const& source) {
  std::size_t missing = 0;
  std::filesystem::path first;
  for (auto const& picture : pictures) {
    for (auto const* file : {&picture.image, &picture.labels}) {
      if (is_file(*file)) continue;
      if (missing++ == 0) first = *file;
    }
  }
  if (missing == 0) return;
  auto const others = missing == 1 ? std::string() : " and " + std::to_string(missing - 1) + " other files";
  fail<DataError>(shown(first), others, " of the ", pictures.size(), " pictures in ", shown(source),
                  missing == 1 ? " is" : " are", " missing: unpack the data set again");
}

}  // namespace kovos::detail
