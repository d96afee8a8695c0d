// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"

namespace kovos {

/// The lengths of the runs of a COCO mask, from its text: pixels column by column, first a run outside the mask (which
/// may be empty), then one inside, and so on. Throws FileError if the text is none; `where` is what the message calls
/// its place.
inline std::vector<std::uint32_t> parse_coco_rle(std::string_view text, std::string_view where) {
  std::vector<std::uint32_t> runs;
  for (std::size_t at = 0; at < text.size();) {
    // Five bits per letter, the lowest first; from the fourth run on, the difference to the last but one.
    std::int64_t number = 0;
    unsigned shift = 0, bits = 0x20;
    while ((bits & 0x20) != 0) {
      bool const good = at < text.size() && text[at] >= 48 && text[at] < 48 + 64 && shift <= 30;
      require<FileError>(good, where, " has a mask whose counts are no run lengths of COCO, at letter ", at, " of ",
                         detail::in_quotes(text));
      bits = static_cast<unsigned>(text[at++]) - 48;
      number |= static_cast<std::int64_t>(bits & 0x1f) << shift;
      shift += 5;
    }
    if ((bits & 0x10) != 0) number -= std::int64_t{1} << shift;
    if (runs.size() > 2) number += runs[runs.size() - 2];
    require<FileError>(number >= 0 && number <= std::numeric_limits<std::uint32_t>::max(), where,
                       " has a mask with a run of ", number, " pixels in its counts ", detail::in_quotes(text));
    runs.push_back(static_cast<std::uint32_t>(number));
  }
  return runs;
}

/// The text of these run lengths, as pycocotools writes it.
inline std::string coco_rle_text(std::span<std::uint32_t const> runs) {
  std::string text;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    std::int64_t number = runs[i];
    if (i > 2) number -= runs[i - 2];
    for (bool more = true; more;) {
      auto const bits = static_cast<unsigned>(number & 0x1f);
      number >>= 5;
      more = (bits & 0x10) != 0 ? number != -1 : number != 0;
      text += static_cast<char>(48 + (bits | (more ? 0x20u : 0u)));
    }
  }
  return text;
}

}  // namespace kovos
