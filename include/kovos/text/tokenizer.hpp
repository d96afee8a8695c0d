// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/text/clean.hpp"
#include "kovos/text/unicode.hpp"
#include "kovos/text/vocabulary.hpp"

namespace kovos {

/// CLIP's byte-pair tokenizer, equal to OpenAI's `SimpleTokenizer`. Immutable, so it may be shared by threads.
class Tokenizer {
 public:
  explicit Tokenizer(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {}

  Vocabulary const& vocabulary() const { return vocabulary_; }

  /// Token ids of a text, without start and end. Throws TextError if it is not UTF-8.
  std::vector<std::int32_t> encode(std::string_view text) const {
    std::vector<std::int32_t> ids;
    std::u32string const points = decode_utf8(clean_text(text));
    for (std::size_t i = 0; i < points.size();) {
      std::size_t const length = piece_length(points, i);
      if (length == 0) {
        ++i;
        continue;
      }
      std::u32string_view const piece = std::u32string_view(points).substr(i, length);
      if (piece == start_literal) ids.push_back(vocabulary_.start_of_text());
      else if (piece == end_literal) ids.push_back(vocabulary_.end_of_text());
      else append_piece(encode_utf8(piece), ids);
      i += length;
    }
    return ids;
  }

  /// start + ids + end, without padding. Nothing is cut: throws TextError naming the text if it exceeds the context.
  std::vector<std::int32_t> encode_prompt(std::string_view text, std::size_t context_length = 77) const {
    std::vector<std::int32_t> ids{vocabulary_.start_of_text()};
    auto const inner = encode(text);
    ids.insert(ids.end(), inner.begin(), inner.end());
    ids.push_back(vocabulary_.end_of_text());
    require<TextError>(ids.size() <= context_length, "'", std::string(text.substr(0, 60)), text.size() > 60 ? "...'" : "'", " is ",
                       ids.size(), " tokens long with start and end, the model takes at most ", context_length,
                       "; use a shorter name");
    return ids;
  }

  /// Prompts as rows padded with 0, as the authors feed them. -> [N * context_length], row-major.
  std::vector<std::int32_t> tokenize(std::span<std::string const> texts, std::size_t context_length = 77) const {
    std::vector<std::int32_t> rows(texts.size() * context_length, 0);
    for (std::size_t n = 0; n < texts.size(); ++n) {
      auto const ids = encode_prompt(texts[n], context_length);
      std::copy(ids.begin(), ids.end(), rows.begin() + static_cast<std::ptrdiff_t>(n * context_length));
    }
    return rows;
  }

  /// The text of token ids, for people; unknown ids are skipped.
  std::string decode(std::span<std::int32_t const> ids) const {
    std::string symbols;
    for (auto const id : ids)
      if (id >= 0 && static_cast<std::size_t>(id) < 512 + vocabulary_.merges()) symbols += vocabulary_.symbol(static_cast<std::size_t>(id));
    std::string text;
    for (std::size_t i = 0; i < symbols.size();) {
      if (symbols.compare(i, 4, "</w>") == 0) {
        text += ' ';
        i += 4;
        continue;
      }
      std::size_t const length = static_cast<unsigned char>(symbols[i]) < 0x80 ? 1 : 2;
      char32_t const point = decode_utf8(std::string_view(symbols).substr(i, length)).front();
      for (auto const& [byte, written] : detail::byte_alphabet())
        if (written == point) text += static_cast<char>(byte);
      i += length;
    }
    if (!text.empty() && text.back() == ' ') text.pop_back();
    return text;
  }

 private:
  static constexpr std::u32string_view start_literal = U"<|startoftext|>";
  static constexpr std::u32string_view end_literal = U"<|endoftext|>";

  /// What no alternative of OpenAI's pattern matches: white space, and U+0345, a mark whose other case is a letter, which
  /// a case-insensitive "not a letter" refuses.
  static bool is_skipped(char32_t point) { return is_white_space(point) || point == 0x345; }

  /// Length of the pre-token that begins at i; 0 for what is skipped. The alternatives of OpenAI's pattern, in its order.
  static std::size_t piece_length(std::u32string_view text, std::size_t i) {
    std::u32string_view const rest = text.substr(i);
    for (std::u32string_view const literal : {start_literal, end_literal, std::u32string_view(U"'s"), std::u32string_view(U"'t"),
                                              std::u32string_view(U"'re"), std::u32string_view(U"'ve"), std::u32string_view(U"'m"),
                                              std::u32string_view(U"'ll"), std::u32string_view(U"'d")})
      if (rest.substr(0, literal.size()) == literal) return literal.size();
    char32_t const first = rest.front();
    if (is_skipped(first)) return 0;
    if (is_number(first)) return 1;
    std::size_t length = 1;
    if (is_letter(first)) {
      while (length < rest.size() && is_letter(rest[length])) ++length;
    } else {
      while (length < rest.size() && !is_letter(rest[length]) && !is_number(rest[length]) && !is_skipped(rest[length])) ++length;
    }
    return length;
  }

  /// Byte-pair encoding of one pre-token: the pair of lowest rank is merged everywhere until none is left.
  void append_piece(std::string const& piece, std::vector<std::int32_t>& ids) const {
    std::vector<std::uint32_t> symbols;
    symbols.reserve(piece.size());
    for (std::size_t i = 0; i < piece.size(); ++i) {
      auto const byte = static_cast<unsigned char>(piece[i]);
      std::uint32_t const base = byte_ids()[byte];
      symbols.push_back(base + (i + 1 == piece.size() ? 256 : 0));
    }
    while (symbols.size() > 1) {
      std::optional<std::uint32_t> best;
      std::uint32_t first = 0, second = 0;
      for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
        auto const rank = vocabulary_.rank(symbols[i], symbols[i + 1]);
        if (rank && (!best || *rank < *best)) {
          best = rank;
          first = symbols[i];
          second = symbols[i + 1];
        }
      }
      if (!best) break;
      std::uint32_t const merged = vocabulary_.id(vocabulary_.symbol(512 + *best));
      std::size_t out = 0;
      for (std::size_t i = 0; i < symbols.size(); ++out) {
        bool const pair = i + 1 < symbols.size() && symbols[i] == first && symbols[i + 1] == second;
        symbols[out] = pair ? merged : symbols[i];
        i += pair ? 2 : 1;
      }
      symbols.resize(out);
    }
    for (auto const symbol : symbols) ids.push_back(static_cast<std::int32_t>(symbol));
  }

  /// Id of each byte's plain symbol.
  static std::array<std::uint32_t, 256> const& byte_ids() {
    static auto const table = [] {
      std::array<std::uint32_t, 256> t{};
      std::uint32_t id = 0;
      for (auto const& entry : detail::byte_alphabet()) t[entry.first] = id++;
      return t;
    }();
    return table;
  }

  Vocabulary vocabulary_;
};

}  // namespace kovos
