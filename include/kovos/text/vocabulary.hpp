// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zlib.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/io/file.hpp"
#include "kovos/text/unicode.hpp"

namespace kovos {

namespace detail {

/// The printable character each byte is written as, in the order of their ids (so an id is not the byte).
inline std::array<std::pair<std::uint8_t, char32_t>, 256> const& byte_alphabet() {
  static auto const table = [] {
    std::array<std::pair<std::uint8_t, char32_t>, 256> t{};
    std::size_t next = 0;
    auto const printable = [](int b) { return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174; };
    for (int b = 0; b < 256; ++b)
      if (printable(b)) t[next++] = {static_cast<std::uint8_t>(b), static_cast<char32_t>(b)};
    char32_t extra = 256;
    for (int b = 0; b < 256; ++b)
      if (!printable(b)) t[next++] = {static_cast<std::uint8_t>(b), extra++};
    return t;
  }();
  return table;
}

/// Inflates a gzip stream, refusing more than `limit` bytes.
inline std::string gunzip(std::span<std::byte const> bytes, std::size_t limit, std::string const& source) {
  z_stream stream{};
  require<TextError>(inflateInit2(&stream, 15 + 16) == Z_OK, source, ": zlib could not be started");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  std::string text;
  int status = Z_OK;
  while (status == Z_OK && text.size() <= limit) {
    char buffer[1 << 16];
    stream.next_out = reinterpret_cast<Bytef*>(buffer);
    stream.avail_out = sizeof buffer;
    status = inflate(&stream, Z_NO_FLUSH);
    text.append(buffer, sizeof buffer - stream.avail_out);
  }
  inflateEnd(&stream);
  require<TextError>(text.size() <= limit, source, ": unpacks to more than ", limit, " bytes, so it is not a CLIP vocabulary");
  require<TextError>(status == Z_STREAM_END, source, ": the gzip data is truncated or damaged; download the vocabulary again");
  return text;
}

}  // namespace detail

/// A byte-pair vocabulary of CLIP's kind: 256 bytes, the same 256 at the end of a word, merges, start and end of text.
class Vocabulary {
 public:
  /// The number of merges OpenAI's vocabulary uses of its longer file.
  static constexpr std::size_t clip_merges = 48894;

  /// From merges "a b" in order of rank. Throws TextError naming the line that cannot be used.
  Vocabulary(std::vector<std::pair<std::string, std::string>> const& merges, std::string const& source = "vocabulary") {
    std::size_t id = 0;
    auto const& alphabet = detail::byte_alphabet();
    for (std::string_view const suffix : {"", "</w>"})
      for (auto const& [byte, point] : alphabet) add(encode_utf8(std::u32string(1, point)) + std::string(suffix), id++);
    ranks_.reserve(merges.size());
    for (std::size_t i = 0; i < merges.size(); ++i) {
      auto const first = ids_.find(merges[i].first);
      auto const second = ids_.find(merges[i].second);
      require<TextError>(first != ids_.end() && second != ids_.end(), source, ": merge ", i + 1, " ('", merges[i].first, " ",
                         merges[i].second, "') joins a symbol that no earlier merge made; the file is damaged or not a CLIP vocabulary");
      bool const fresh = ranks_.emplace(pair_key(first->second, second->second), static_cast<std::uint32_t>(i)).second;
      require<TextError>(fresh, source, ": merge ", i + 1, " ('", merges[i].first, " ", merges[i].second, "') appears twice");
      // Two merges may spell one symbol; the later id keeps the name, as in OpenAI's dictionary.
      symbols_.push_back(merges[i].first + merges[i].second);
      ids_[symbols_.back()] = static_cast<std::uint32_t>(id++);
    }
    merges_ = merges.size();
    start_ = static_cast<std::int32_t>(id);
    end_ = static_cast<std::int32_t>(id + 1);
  }

  /// Recognises by content: gzip of a merges file, a merges text (with or without its header line), or tokenizer.json.
  /// Throws TextError.
  static Vocabulary parse(std::span<std::byte const> bytes, std::string const& source) {
    std::string text;
    bool const gzip = bytes.size() > 2 && bytes[0] == std::byte{0x1F} && bytes[1] == std::byte{0x8B};
    if (gzip) text = detail::gunzip(bytes, std::size_t{1} << 26, source);
    else text.assign(reinterpret_cast<char const*>(bytes.data()), bytes.size());
    auto const invalid = find_invalid_utf8(text);
    require<TextError>(!invalid, source, ": not UTF-8 at byte ", invalid.value_or(0), ", so it is not a CLIP vocabulary");
    auto const start = text.find_first_not_of(" \t\r\n");
    require<TextError>(start != std::string::npos, source, ": the vocabulary is empty");
    if (text[start] == '{') return from_tokenizer_json(text, source);
    return from_merges_text(text, source);
  }

  /// Reads and parses a file. Throws FileError or TextError.
  static Vocabulary read(std::filesystem::path const& path) {
    std::error_code ignored;
    require<TextError>(std::filesystem::file_size(path, ignored) <= (std::uintmax_t{1} << 27) || ignored, path.string(),
                       ": larger than any CLIP vocabulary");
    auto const bytes = read_file(path);
    return parse(bytes, path.string());
  }

  /// Number of token ids: 512 + merges + 2.
  std::size_t size() const { return 512 + merges_ + 2; }
  std::size_t merges() const { return merges_; }
  std::int32_t start_of_text() const { return start_; }
  std::int32_t end_of_text() const { return end_; }

  /// The id of a symbol; every symbol that merging can make has one.
  std::uint32_t id(std::string const& symbol) const { return ids_.at(symbol); }
  std::string const& symbol(std::size_t id) const { return symbols_.at(id); }

  /// Rank of merging two symbols, if they merge.
  std::optional<std::uint32_t> rank(std::uint32_t first, std::uint32_t second) const {
    auto const found = ranks_.find(pair_key(first, second));
    if (found == ranks_.end()) return std::nullopt;
    return found->second;
  }

 private:
  static std::uint64_t pair_key(std::uint32_t a, std::uint32_t b) { return (std::uint64_t{a} << 32) | b; }

  void add(std::string symbol, std::size_t id) {
    ids_.emplace(symbol, static_cast<std::uint32_t>(id));
    symbols_.push_back(std::move(symbol));
  }

  static Vocabulary from_merges_text(std::string const& text, std::string const& source) {
    std::vector<std::pair<std::string, std::string>> merges;
    std::size_t line_number = 0;
    for (std::size_t at = 0; at < text.size() && merges.size() < clip_merges;) {
      std::size_t end = text.find('\n', at);
      if (end == std::string::npos) end = text.size();
      std::string line = text.substr(at, end - at);
      at = end + 1;
      ++line_number;
      if (!line.empty() && line.back() == '\r') line.pop_back();
      // OpenAI's header begins with a quote, Hugging Face's with '#'.
      if (line_number == 1 && line.find("#version") != std::string::npos) continue;
      if (line.empty() && at >= text.size()) break;
      auto const blank = line.find(' ');
      require<TextError>(blank != std::string::npos && blank > 0 && blank + 1 < line.size() && line.find(' ', blank + 1) == std::string::npos,
                         source, ": line ", line_number, " is not a merge of two symbols; expected a CLIP vocabulary "
                         "(bpe_simple_vocab_16e6.txt.gz, merges.txt or tokenizer.json)");
      merges.emplace_back(line.substr(0, blank), line.substr(blank + 1));
    }
    return Vocabulary(merges, source);
  }

  static Vocabulary from_tokenizer_json(std::string const& text, std::string const& source) {
    auto const json = nlohmann::json::parse(text, nullptr, false);
    require<TextError>(!json.is_discarded(), source, ": the JSON is damaged");
    auto const model = json.find("model");
    bool const usable = model != json.end() && model->is_object() && model->contains("merges") && (*model)["merges"].is_array();
    require<TextError>(usable, source, ": no model.merges in this JSON; expected the tokenizer.json of a CLIP model");
    std::vector<std::pair<std::string, std::string>> merges;
    for (auto const& merge : (*model)["merges"]) {
      std::size_t const number = merges.size() + 1;
      if (merge.is_string()) {
        auto const pair = merge.get<std::string>();
        auto const blank = pair.find(' ');
        require<TextError>(blank != std::string::npos, source, ": merge ", number, " is not two symbols");
        merges.emplace_back(pair.substr(0, blank), pair.substr(blank + 1));
      } else {
        require<TextError>(merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string(), source,
                           ": merge ", number, " is not two symbols");
        merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
      }
    }
    return Vocabulary(merges, source);
  }

  std::unordered_map<std::string, std::uint32_t> ids_;
  std::vector<std::string> symbols_;
  std::unordered_map<std::uint64_t, std::uint32_t> ranks_;
  std::size_t merges_ = 0;
  std::int32_t start_ = 0;
  std::int32_t end_ = 0;
};

/// The vocabulary that belongs to some weights: the given file, else a known name beside the weights, else in
/// $KOVOS_HOME. Throws TextError that lists where it was looked for and says where to get it.
inline Vocabulary find_vocabulary(std::filesystem::path const& weights, std::optional<std::filesystem::path> const& given = {}) {
  if (given) return Vocabulary::read(*given);
  std::error_code ignored;
  std::vector<std::filesystem::path> folders;
  folders.push_back(std::filesystem::is_directory(weights, ignored) ? weights : weights.parent_path());
  if (folders.back().empty()) folders.back() = ".";
  if (char const* const home = std::getenv("KOVOS_HOME"); home && *home) folders.emplace_back(home);
  std::string looked;
  for (auto const& folder : folders) {
    for (auto const* name : {"bpe_simple_vocab_16e6.txt.gz", "bpe_simple_vocab_16e6.txt", "merges.txt", "tokenizer.json"}) {
      auto const path = folder / name;
      if (std::filesystem::is_regular_file(path, ignored)) return Vocabulary::read(path);
    }
    looked += (looked.empty() ? "'" : " and '") + folder.string() + "'";
  }
  fail<TextError>("CLIP's vocabulary was not found in ", looked, ": put bpe_simple_vocab_16e6.txt.gz (from OpenAI's CLIP "
                  "repository), or merges.txt or tokenizer.json of a Hugging Face CLIP model, beside the weights or into "
                  "$KOVOS_HOME, or name it with --vocabulary");
}

}  // namespace kovos
