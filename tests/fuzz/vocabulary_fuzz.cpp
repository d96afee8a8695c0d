// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "kovos/core/error.hpp"
#include "kovos/text/tokenizer.hpp"
#include "kovos/text/vocabulary.hpp"

/// Any bytes either are a vocabulary, which tokenizes and writes itself as text, or are refused with one of our errors.
extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  try {
    auto vocabulary = kovos::Vocabulary::parse({reinterpret_cast<char const*>(data), size}, "input");
    auto const text = vocabulary.merges_text();
    if (kovos::Vocabulary(text).merges_text() != text) std::abort();
    kovos::Tokenizer const tokenizer(std::move(vocabulary));
    if (tokenizer.decode(tokenizer.encode("the caat sat, 12 caf\xC3\xA9!")) != "the caat sat , 1 2 caf\xC3\xA9 !")
      std::abort();
  } catch (kovos::Error const&) {
  }
  return 0;
}
