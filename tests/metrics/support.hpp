// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "kovos/core/label_map.hpp"

namespace kovos::test {

/// Ground truth and prediction of 7 classes, as tests/reference/metrics_reference.py draws them: class 4 is never
/// found, 5 is only predicted, 6 is nowhere.
inline std::pair<LabelMap, LabelMap> label_maps(std::size_t height, std::size_t width, std::uint32_t state) {
  LabelMap truth{height, width, {}}, prediction{height, width, {}};
  constexpr std::uint16_t unknown = LabelMap::unknown;
  constexpr std::uint16_t truths[] = {0, 1, 2, 3, 4, unknown}, guesses[] = {0, 1, 2, 3, 5, 9, unknown};
  for (std::size_t i = 0; i < height * width; ++i) {
    state = state * 1664525u + 1013904223u;
    std::uint32_t const label = (state >> 20) % 6, guess = (state >> 12) % 16;
    truth.labels.push_back(truths[label]);
    prediction.labels.push_back(guess < 9 && label < 4 ? static_cast<std::uint16_t>(label) : guesses[guess % 7]);
  }
  return {truth, prediction};
}

/// The message of the error of type E that `call` throws; "nothing was thrown" if it does not.
template <class E, class Call>
std::string message_of(Call const& call) {
  try {
    call();
  } catch (E const& error) {
    return error.what();
  }
  return "nothing was thrown";
}

inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

}  // namespace kovos::test
