// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "kovos/core/error.hpp"
#include "kovos/text/clean.hpp"
#include "kovos/text/prompt_template.hpp"
#include "kovos/text/tokenizer.hpp"
#include "kovos/text/unicode.hpp"
#include "kovos/text/vocabulary.hpp"
#include "kovos/text/word_list.hpp"

namespace {

/// Calls f; our own errors are answers, all else is a bug.
template <class F>
void answer(F const& f) {
  try {
    f();
  } catch (kovos::Error const&) {
  }
}

}  // namespace

/// Any bytes as a prompt, a word list of each form and a template: either tokens that are in the vocabulary, or one of
/// our errors.
extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  static kovos::Tokenizer const tokenizer{kovos::Vocabulary("a a\naa a\nt h\nth e</w>\nc a\nca t</w>\n")};
  std::string_view const text(reinterpret_cast<char const*>(data), size);
  answer([&] {
    auto const ids = tokenizer.encode(text);
    auto const decoded = tokenizer.decode(ids);
    if (kovos::find_invalid_utf8(decoded)) std::abort();
  });
  answer([&] {
    auto const cleaned = kovos::clean_text(text);
    if (kovos::find_invalid_utf8(cleaned)) std::abort();
  });
  answer([&] { tokenizer.encode_prompt(text); });
  answer([&] { kovos::detail::parse_comma_list(text); });
  answer([&] { kovos::detail::parse_class_lines(text, "input"); });
  answer([&] { kovos::detail::parse_class_json(text, "input"); });
  answer([&] { kovos::fill(text, "word"); });
  answer([&] { kovos::fill("{article} {category} {}", text); });
  return 0;
}
