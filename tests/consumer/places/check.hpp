// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>

namespace places {

/// Ends the program with the sentence unless it is true.
inline void check(bool good, std::string const& sentence) {
  if (!good) throw std::runtime_error(sentence);
}

}  // namespace places
