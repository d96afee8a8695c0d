// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace kovos {

/// The classes of a public benchmark, in the order of its labels.
struct Benchmark {
  std::string_view name;
  /// One per '|', each a name and, behind ", ", its synonyms. A blank at an end is the authors'.
  std::string_view classes;
  /// Classes from this one on only attract pixels that belong to the background.
  std::optional<std::size_t> background_from = {};
  /// Of MESS: the classes whose mean IoU it reports apart; empty: all.
  std::span<std::size_t const> of_interest = {};
  /// How many pictures the published numbers are means over; 0 where that is not recorded here.
  std::size_t pictures = 0;
};

}  // namespace kovos
