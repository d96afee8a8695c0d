// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <queue>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/text/clean.hpp"
#include "kovos/text/tokenizer.hpp"
#include "kovos/text/unicode.hpp"
#include "kovos/text/vocabulary.hpp"

namespace kovos {

namespace detail {

/// The pieces of all texts, cleaned and split as the tokenizer does, each with how often it occurs. Special tokens are
/// left out: they are never merged.
inline std::map<std::string, std::uint64_t> count_pieces(std::span<std::string const> texts) {
  std::map<std::string, std::uint64_t> counts;
  for (auto const& text : texts) {
    std::u32string const cleaned = decode_utf8(clean_text(text));
    for_each_piece(cleaned, [&](std::u32string_view piece) {
      if (piece != U"<|startoftext|>" && piece != U"<|endoftext|>") ++counts[encode_utf8(piece)];
    });
  }
  return counts;
}

/// Learns merges one by one. Counts of pairs are kept up to date word by word, so that a merge costs as much as the
/// words it changes.
class BpeTrainer {
 public:
  explicit BpeTrainer(std::span<std::string const> texts) {
    for (std::size_t b = 0; b < 256; ++b) {
      auto const id = static_cast<std::size_t>(byte_symbols[b]);
      symbols_[id] = encode_utf8(std::u32string(1, byte_character(static_cast<std::uint8_t>(b))));
      symbols_[256 + id] = symbols_[id] + "</w>";
    }
    for (auto const& [piece, count] : count_pieces(texts)) {
      std::vector<std::int32_t> word;
      for (char const byte : piece) word.push_back(byte_symbols[static_cast<std::uint8_t>(byte)]);
      word.back() += 256;
      words_.push_back({std::move(word), count});
    }
    for (std::size_t w = 0; w < words_.size(); ++w) count_pairs(w, true);
    for (auto const& [key, pair] : pairs_) queue_.push(candidate(key, pair.count));
  }

  /// The next merge, "a b"; empty if nothing is left to merge.
  std::string next() {
    while (!queue_.empty()) {
      Candidate const best = queue_.top();
      queue_.pop();
      auto const found = pairs_.find(best.key);
      // Another count than when it was queued: the pair was queued again with its present one.
      if (found == pairs_.end() || found->second.count != best.count) continue;
      std::string const symbol = *best.left + *best.right;
      if (symbol.size() > Vocabulary::longest_symbol) continue;
      std::string line = *best.left + ' ' + *best.right;
      merge(best.key, symbol);
      return line;
    }
    return {};
  }

 private:
  struct Word {
    std::vector<std::int32_t> symbols;
    std::uint64_t count;
  };
  struct Pair {
    std::uint64_t count = 0;
    std::unordered_set<std::size_t> words;  // where it occurs, or did
  };
  struct Candidate {
    std::uint64_t count, key;
    std::string const* left;
    std::string const* right;
    /// The most frequent pair first, among equals the lexicographically smallest (bytes of UTF-8: code points).
    bool operator<(Candidate const& other) const {
      if (count != other.count) return count < other.count;
      return std::tie(*left, *right) > std::tie(*other.left, *other.right);
    }
  };

  static std::uint64_t key_of(std::int32_t left, std::int32_t right) {
    return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
  }
  Candidate candidate(std::uint64_t key, std::uint64_t count) const {
    return {count, key, &symbols_[key >> 32], &symbols_[key & 0xffffffffu]};
  }

  /// Adds a word's pairs to the counts or takes them away; `changed` gathers their keys.
  void count_pairs(std::size_t w, bool add, std::set<std::uint64_t>* changed = nullptr) {
    auto const& word = words_[w];
    for (std::size_t i = 0; i + 1 < word.symbols.size(); ++i) {
      auto const key = key_of(word.symbols[i], word.symbols[i + 1]);
      auto& pair = pairs_[key];
      if (add) {
        pair.count += word.count;
        pair.words.insert(w);
      } else {
        pair.count -= word.count;
      }
      if (changed != nullptr) changed->insert(key);
    }
  }

  void merge(std::uint64_t key, std::string symbol) {
    auto const left = static_cast<std::int32_t>(key >> 32), right = static_cast<std::int32_t>(key & 0xffffffffu);
    auto const merged = static_cast<std::int32_t>(symbols_.size());
    symbols_.push_back(std::move(symbol));
    auto const where = std::move(pairs_.at(key).words);
    std::set<std::uint64_t> changed;
    for (std::size_t const w : where) {
      auto& word = words_[w].symbols;
      count_pairs(w, false, &changed);
      std::vector<std::int32_t> after;
      for (std::size_t i = 0; i < word.size(); ++i) {
        bool const here = i + 1 < word.size() && word[i] == left && word[i + 1] == right;
        after.push_back(here ? merged : word[i]);
        if (here) ++i;
      }
      word = std::move(after);
      count_pairs(w, true, &changed);
    }
    for (auto const pair : changed) {
      auto const found = pairs_.find(pair);
      if (found->second.count == 0) pairs_.erase(found);
      else queue_.push(candidate(pair, found->second.count));
    }
  }

  // A deque's elements stay where they are, so that candidates can point at them.
  std::deque<std::string> symbols_ = std::deque<std::string>(512);
  std::vector<Word> words_;
  std::unordered_map<std::uint64_t, Pair> pairs_;
  std::priority_queue<Candidate> queue_;
};

}  // namespace detail

/// Learns CLIP's byte-level byte-pair merges from texts, cleaned and split as by Tokenizer: the most frequent pair of
/// neighbours is merged everywhere, again and again; among equally frequent pairs the lexicographically smallest. At
/// most `merges` of them, fewer if nothing is left to merge; a symbol longer than a vocabulary takes is never made. The
/// result is a merges file, from which Vocabulary makes 512 + n + 2 symbols. Throws TextError for 0 or more than 48894
/// merges, a text that is not UTF-8, or texts without two neighbouring letters. Source: Sennrich, Haddow and Birch,
/// Neural Machine Translation of Rare Words with Subword Units, ACL 2016, section 3.2.
inline std::string learn_merges(std::span<std::string const> texts, std::size_t merges) {
  require<TextError>(merges > 0 && merges <= Vocabulary::full_merges, "cannot learn ", merges,
                     " merges: expected 1 to ", Vocabulary::full_merges, ", as many as CLIP's vocabulary holds");
  detail::BpeTrainer trainer(texts);
  std::string result = "#version: 0.2\n";
  for (std::size_t i = 0; i < merges; ++i) {
    std::string const line = trainer.next();
    require<TextError>(!line.empty() || i > 0, "there is nothing to learn merges from: the ", texts.size(),
                       " texts hold no word of two bytes or more");
    if (line.empty()) break;
    result += line + '\n';
  }
  return result;
}

}  // namespace kovos
