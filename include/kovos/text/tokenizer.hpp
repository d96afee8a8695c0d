// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/text/clean.hpp"
#include "kovos/text/unicode.hpp"
#include "kovos/text/vocabulary.hpp"

namespace kovos {

namespace detail {

/// Characters that belong to no piece: white space, and U+0345, a mark whose capital is a letter: the authors'
/// expression, which ignores case, takes it for neither.
inline bool between_pieces(char32_t p) { return is_white_space(p) || p == 0x345; }

/// Where the piece that begins at text[i] ends: special tokens, contractions, letters, one
/// digit, or anything else, in this order.
inline std::size_t end_of_piece(std::u32string_view text, std::size_t i) {
  auto const rest = text.substr(i);
  for (std::u32string_view const special : {U"<|startoftext|>", U"<|endoftext|>"}) {
    if (rest.starts_with(special)) return i + special.size();
  }
  if (rest.starts_with(U'\'')) {
    // The authors' expression ignores case, which makes a long s an s.
    for (std::u32string_view const tail : {U"'s", U"'\u017F", U"'t", U"'re", U"'ve", U"'m", U"'ll", U"'d"}) {
      if (rest.starts_with(tail)) return i + tail.size();
    }
  }
  if (is_number(text[i])) return i + 1;
  bool const letters = is_letter(text[i]);
  auto const belongs = [&](char32_t p) {
    return letters ? is_letter(p) : !is_letter(p) && !is_number(p) && !between_pieces(p);
  };
  std::size_t end = i + 1;
  while (end < text.size() && belongs(text[end])) ++end;
  return end;
}

/// Calls visit(piece) for every piece of a cleaned text, in order.
template <class Visit>
void for_each_piece(std::u32string_view cleaned, Visit const& visit) {
  for (std::size_t i = 0; i < cleaned.size();) {
    if (between_pieces(cleaned[i])) {
      ++i;
      continue;
    }
    std::size_t const end = end_of_piece(cleaned, i);
    visit(cleaned.substr(i, end - i));
    i = end;
  }
}

/// Byte-pair encoding of one piece, appended to `ids`: as long as neighbours can merge, those with the smallest number
/// do, from the left. A queue keeps that at n log n, also for words of megabytes.
inline void encode_piece(Vocabulary const& vocabulary, std::string_view piece, std::vector<std::int32_t>& ids) {
  struct Candidate {
    std::int32_t merged;
    std::uint32_t left, right;  // places
    bool operator>(Candidate const& other) const {
      return merged != other.merged ? merged > other.merged : left > other.left;
    }
  };
  constexpr std::uint32_t none = ~std::uint32_t{0};
  auto const count = static_cast<std::uint32_t>(piece.size());
  std::vector<std::int32_t> symbol(count);  // -1 where it was merged into the one before
  std::vector<std::uint32_t> before(count), after(count);
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  for (std::uint32_t i = 0; i < count; ++i) {
    symbol[i] = byte_symbols[static_cast<std::uint8_t>(piece[i])] + (i + 1 == count ? 256 : 0);
    before[i] = i == 0 ? none : i - 1;
    after[i] = i + 1 == count ? none : i + 1;
  }
  auto const consider = [&](std::uint32_t left) {
    if (left == none || after[left] == none) return;
    if (auto const merged = vocabulary.merged(symbol[left], symbol[after[left]])) {
      queue.push({*merged, left, after[left]});
    }
  };
  for (std::uint32_t i = 0; i < count; ++i) consider(i);
  while (!queue.empty()) {
    auto const [merged, left, right] = queue.top();
    queue.pop();
    // Either of the two may have merged with somebody else since.
    if (symbol[left] < 0 || after[left] != right || vocabulary.merged(symbol[left], symbol[right]) != merged) continue;
    symbol[left] = merged;
    symbol[right] = -1;
    after[left] = after[right];
    if (after[left] != none) before[after[left]] = left;
    consider(before[left]);
    consider(left);
  }
  for (std::uint32_t i = 0; i != none && count > 0; i = after[i]) ids.push_back(symbol[i]);
}

}  // namespace detail

/// CLIP's tokenizer, as OpenAI's: cleaning, splitting, byte-pair encoding. Copies share the vocabulary; all calls may
/// be made from several threads.
class Tokenizer {
 public:
  explicit Tokenizer(Vocabulary vocabulary) : vocabulary_(std::make_shared<Vocabulary const>(std::move(vocabulary))) {}

  Vocabulary const& vocabulary() const { return *vocabulary_; }

  /// Tokens of a text without start and end. "<|startoftext|>" and "<|endoftext|>" in it become these tokens, as in
  /// OpenAI's. Throws TextError if the text is not UTF-8.
  std::vector<std::int32_t> encode(std::string_view text) const {
    std::u32string const cleaned = decode_utf8(clean_text(text));
    std::vector<std::int32_t> ids;
    detail::for_each_piece(cleaned, [&](std::u32string_view piece) {
      if (piece == U"<|startoftext|>") {
        ids.push_back(vocabulary_->start());
      } else if (piece == U"<|endoftext|>") {
        ids.push_back(vocabulary_->end());
      } else {
        detail::encode_piece(*vocabulary_, encode_utf8(piece), ids);
      }
    });
    return ids;
  }

  /// Start, the tokens of a prompt, end; not padded and never cut. Throws TextError if that is longer than the context.
  std::vector<std::int32_t> encode_prompt(std::string_view text, std::size_t context_length = 77) const {
    std::vector<std::int32_t> ids = encode(text);
    require<TextError>(ids.size() + 2 <= context_length, "the prompt ", detail::in_quotes(text), " has ",
                       ids.size() + 2, " tokens with start and end, but the model reads at most ", context_length,
                       "; shorten it");
    ids.insert(ids.begin(), vocabulary_->start());
    ids.push_back(vocabulary_->end());
    return ids;
  }

  /// Prompts as rows padded with 0. -> [texts.size(), context_length]. Throws TextError as encode_prompt.
  std::vector<std::int32_t> tokenize(std::span<std::string const> texts, std::size_t context_length = 77) const {
    std::vector<std::int32_t> rows(texts.size() * context_length, 0);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      auto const ids = encode_prompt(texts[i], context_length);
      std::copy(ids.begin(), ids.end(), rows.begin() + static_cast<std::ptrdiff_t>(i * context_length));
    }
    return rows;
  }

  /// The text of tokens, for people: a blank after each word, start left out, up to the end token; bytes that are no
  /// UTF-8 become U+FFFD. Throws TextError for a number that is no token.
  std::string decode(std::span<std::int32_t const> ids) const {
    std::string bytes;
    for (std::int32_t const id : ids) {
      std::string_view symbol = vocabulary_->symbol(id);
      if (id == vocabulary_->end()) break;
      if (id == vocabulary_->start()) continue;
      bool const ends_word = is_end_of_word(id);
      if (ends_word) symbol.remove_suffix(4);
      for (char32_t const p : decode_utf8(symbol)) bytes += static_cast<char>(character_byte(p));
      if (ends_word) bytes += ' ';
    }
    if (bytes.ends_with(' ')) bytes.pop_back();
    std::string text;
    for (std::string_view rest = bytes; !rest.empty();) {
      auto const bad = find_invalid_utf8(rest);
      text += rest.substr(0, bad.value_or(rest.size()));
      if (bad) text += "\xEF\xBF\xBD";
      rest.remove_prefix(bad ? *bad + 1 : rest.size());
    }
    return text;
  }

 private:
  /// "</w>" written out is also four ordinary bytes; the last merged part tells which it is.
  bool is_end_of_word(std::int32_t id) const {
    while (id >= 512) id = vocabulary_->parts(id).second;
    return id >= 256;
  }

  static std::uint8_t character_byte(char32_t character) {
    if (character < 256) return static_cast<std::uint8_t>(character);
    auto const symbol = static_cast<std::int32_t>(188 + character - 256);
    auto const found = std::find(detail::byte_symbols.begin(), detail::byte_symbols.end(), symbol);
    return static_cast<std::uint8_t>(found - detail::byte_symbols.begin());
  }

  std::shared_ptr<Vocabulary const> vocabulary_;
};

}  // namespace kovos
