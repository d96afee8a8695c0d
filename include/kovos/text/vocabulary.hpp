// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kovos/core/config.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/io/file.hpp"
#include "kovos/text/text_file.hpp"
#include "kovos/text/unicode.hpp"

namespace kovos {

namespace detail {

/// Number of each byte's symbol: first the bytes that are printable in Latin-1, then the others.
inline constexpr std::array<std::int32_t, 256> byte_symbols = [] {
  std::array<std::int32_t, 256> table{};
  auto const printable = [](int b) { return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174; };
  std::int32_t next = 0;
  for (bool const wanted : {true, false}) {
    for (int b = 0; b < 256; ++b) {
      if (printable(b) == wanted) table[static_cast<std::size_t>(b)] = next++;
    }
  }
  return table;
}();

/// The character that stands for a byte in vocabulary files: itself if printable, else one from U+0100 on.
inline char32_t byte_character(std::uint8_t byte) {
  auto const symbol = byte_symbols[byte];
  return symbol < 188 ? char32_t{byte} : static_cast<char32_t>(256 + symbol - 188);
}

/// The content of a gzip file, at most `longest` bytes. Throws TextError.
inline std::string gunzip(std::string_view packed, std::string_view file, std::size_t longest) {
  ::z_stream stream{};
  require<TextError>(::inflateInit2(&stream, 16 + MAX_WBITS) == Z_OK, in_quotes(file), ": zlib could not be started");
  struct End {
    ::z_stream& stream;
    ~End() { ::inflateEnd(&stream); }
  } const end{stream};
  require<TextError>(packed.size() <= std::numeric_limits<uInt>::max(), in_quotes(file),
                     " is too long for a vocabulary");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  std::string text;
  std::vector<char> chunk(std::size_t{1} << 16);
  for (int state = Z_OK; state != Z_STREAM_END;) {
    stream.next_out = reinterpret_cast<Bytef*>(chunk.data());
    stream.avail_out = static_cast<uInt>(chunk.size());
    state = ::inflate(&stream, Z_NO_FLUSH);
    require<TextError>(state == Z_OK || state == Z_STREAM_END, in_quotes(file),
                       state == Z_BUF_ERROR ? " ends too early for a gzip file" : " is damaged: it does not unpack",
                       " (after ", text.size(), " bytes of text); download it again");
    std::size_t const got = chunk.size() - stream.avail_out;
    require<TextError>(got <= longest - text.size(), in_quotes(file), " unpacks to more than ", longest,
                       " bytes; CLIP's vocabulary has 3194984");
    text.append(chunk.data(), got);
  }
  require<TextError>(stream.avail_in == 0, in_quotes(file), " has ", stream.avail_in,
                     " bytes behind the end of its gzip data; download it again");
  return text;
}

}  // namespace detail

/// CLIP's byte-pair vocabulary: 256 bytes, the same 256 at the end of a word, one symbol for each merge, start and end.
///
/// Numbers: 0..511 the bytes, 512 + n the n-th merge, then start and end. A file with fewer than 48894 merges is a
/// truncated vocabulary; of a longer one, as OpenAI publishes it, the first 48894 count.
class Vocabulary {
 public:
  static constexpr std::size_t full_merges = 48894;
  static constexpr std::size_t longest_symbol = 1024;  // bytes

  /// From the text of a merges file: an optional line with "#version", then two symbols and a blank between them per
  /// line. `file` names the text in messages. Throws TextError naming the line.
  explicit Vocabulary(std::string_view merges, std::string_view file = "vocabulary") : Vocabulary() {
    detail::require_utf8(merges, file);
    std::size_t number = 1;
    bool after_blank_line = false;
    for (; !merges.empty() && merge_count() < full_merges; ++number) {
      std::size_t const end = std::min(merges.find('\n'), merges.size());
      std::string_view line = merges.substr(0, end);
      merges.remove_prefix(std::min(end + 1, merges.size()));
      if (number == 1 && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (number == 1 && line.find("#version") != std::string_view::npos) continue;
      auto const where = [&] { return detail::in_quotes(file) + " line " + std::to_string(number); };
      if (line.empty()) {
        after_blank_line = true;
        continue;
      }
      if (after_blank_line) fail<TextError>(where(), ": a merge behind a blank line; the file is damaged");
      std::size_t const blank = line.find(' ');
      if (blank == std::string_view::npos || line.find(' ', blank + 1) != std::string_view::npos) {
        fail<TextError>(where(), ": expected two symbols with one blank between them, got ", detail::in_quotes(line));
      }
      add_merge(line.substr(0, blank), line.substr(blank + 1), where);
    }
    require<TextError>(merge_count() > 0, detail::in_quotes(file), " holds no merges; it is not a CLIP vocabulary");
    finish();
  }

  /// From the content of any file form: gzip, merges text, or a tokenizer.json. Throws TextError.
  static Vocabulary parse(std::string_view content, std::string_view file = "vocabulary") {
    if (content.starts_with("\x1F\x8B")) {
      return parse_text(detail::gunzip(content, file, detail::longest_text_file), file);
    }
    return parse_text(content, file);
  }

  /// Reads a file of any form. Throws FileError or TextError.
  static Vocabulary load(std::filesystem::path const& path) {
    auto const bytes = read_file(path, detail::longest_text_file);
    return parse({reinterpret_cast<char const*>(bytes.data()), bytes.size()}, path.string());
  }

  /// Number of symbols, with start and end.
  std::size_t size() const { return symbols_.size(); }
  std::size_t merge_count() const { return merges_.size(); }
  std::int32_t start() const { return static_cast<std::int32_t>(512 + merges_.size()); }
  std::int32_t end() const { return start() + 1; }

  /// The symbol as files write it, such as "photo</w>". Throws TextError for a number that is none.
  std::string const& symbol(std::int32_t id) const {
    require<TextError>(id >= 0 && static_cast<std::size_t>(id) < size(), "token ", id, " is not in the vocabulary of ",
                       size(), " symbols");
    return symbols_[static_cast<std::size_t>(id)];
  }

  /// The two symbols that merge to this one. Throws TextError for a number that is no merge.
  std::pair<std::int32_t, std::int32_t> parts(std::int32_t id) const {
    require<TextError>(id >= 512 && id < start(), "token ", id, " is not a merge of the vocabulary of ", size(),
                       " symbols");
    return merges_[static_cast<std::size_t>(id - 512)];
  }

  /// What a pair of neighbours merges to; nothing if it does not. Smaller numbers are merged first.
  std::optional<std::int32_t> merged(std::int32_t left, std::int32_t right) const {
    auto const found = pairs_.find(pair_key(left, right));
    if (found == pairs_.end()) return std::nullopt;
    return found->second;
  }

  /// The merges as text, from which the constructor makes the same vocabulary.
  std::string merges_text() const {
    std::string text = "#version: 0.2\n";
    for (auto const& [left, right] : merges_) text += symbol(left) + ' ' + symbol(right) + '\n';
    return text;
  }

 private:
  Vocabulary() {
    symbols_.resize(512);
    for (std::size_t b = 0; b < 256; ++b) {
      auto const id = static_cast<std::size_t>(detail::byte_symbols[b]);
      symbols_[id] = encode_utf8(std::u32string(1, detail::byte_character(static_cast<std::uint8_t>(b))));
      symbols_[256 + id] = symbols_[id] + "</w>";
    }
    for (std::size_t id = 0; id < 512; ++id) ids_.emplace(symbols_[id], static_cast<std::int32_t>(id));
  }

  static std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
    return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
  }

  /// Each symbol is made of earlier ones and made once, so that merging in order of the numbers is well defined.
  template <class Where>
  void add_merge(std::string_view left, std::string_view right, Where const& where) {
    auto const known = [&](std::string_view part) {
      auto const found = ids_.find(std::string(part));
      if (found == ids_.end()) {
        fail<TextError>(
            where(), ": the symbol ", detail::in_quotes(part),
            " is neither a byte nor made by an earlier merge; this is not a CLIP vocabulary or it is damaged");
      }
      return found->second;
    };
    auto const first = known(left);
    auto const second = known(right);
    auto const id = static_cast<std::int32_t>(512 + merges_.size());
    std::string symbol = std::string(left) + std::string(right);
    // Symbols can double in length with each line; a file of a few kilobytes must not fill the memory.
    if (symbol.size() > longest_symbol)
      fail<TextError>(where(), ": makes a symbol of more than ", longest_symbol, " bytes");
    if (left.ends_with("</w>") && first >= 256) {
      fail<TextError>(where(), ": ", detail::in_quotes(left), " ends a word and cannot be the first of two");
    }
    if (!ids_.emplace(symbol, id).second) {
      fail<TextError>(where(), ": the symbol ", detail::in_quotes(symbol), " is already in the vocabulary");
    }
    symbols_.push_back(std::move(symbol));
    merges_.emplace_back(first, second);
    pairs_.emplace(pair_key(first, second), id);
  }

  void finish() {
    symbols_.emplace_back("<|startoftext|>");
    symbols_.emplace_back("<|endoftext|>");
    ids_ = {};
  }

  static Vocabulary parse_text(std::string_view text, std::string_view file) {
    std::size_t const first = text.find_first_not_of(" \t\r\n");
    bool const json =
        first != std::string_view::npos && text[first] == '{' &&
        text.find_first_not_of(" \t\r\n", first + 1) != std::string_view::npos &&
        std::string_view("\"}").find(text[text.find_first_not_of(" \t\r\n", first + 1)]) != std::string_view::npos;
    return json ? from_tokenizer_json(text, file) : Vocabulary(text, file);
  }

  KOVOS_COLD static Vocabulary from_tokenizer_json(std::string_view text, std::string_view file) {
    using Json = nlohmann::json;
    auto const shown = detail::in_quotes(file);
    Json document;
    try {
      document = Json::parse(text, [&](int depth, Json::parse_event_t, Json const&) {
        require<TextError>(depth <= 32, shown, " is nested too deeply for a tokenizer.json");
        return true;
      });
    } catch (Json::parse_error const& error) {
      fail<TextError>(shown, " line ", detail::line_of(text, error.byte), ": not JSON at byte ", error.byte,
                      "; download it again");
    } catch (Json::exception const&) {
      fail<TextError>(shown, " holds a number that is too large; download it again");
    }
    auto const model = document.find("model");
    require<TextError>(model != document.end() && model->is_object(), shown,
                       " has no object \"model\"; expected a tokenizer.json of a CLIP model");
    auto const type = model->find("type");
    auto const written = [](Json const& value) {
      return detail::in_quotes(value.dump(-1, ' ', false, Json::error_handler_t::replace));
    };
    if (type != model->end() && *type != "BPE") {
      fail<TextError>(shown, ": model.type is ", written(*type), ", expected \"BPE\"; this is not a CLIP tokenizer");
    }
    auto const suffix = model->find("end_of_word_suffix");
    require<TextError>(suffix == model->end() || *suffix == "</w>", shown,
                       ": model.end_of_word_suffix is not \"</w>\"; this is not a CLIP tokenizer");
    auto const merges = model->find("merges");
    require<TextError>(merges != model->end() && merges->is_array() && !merges->empty(), shown,
                       " has no list model.merges; expected a tokenizer.json of a CLIP model");
    Vocabulary result;
    for (auto const& merge : *merges) {
      if (result.merge_count() == full_merges) break;
      auto const where = [&] { return shown + " model.merges[" + std::to_string(result.merge_count()) + "]"; };
      if (merge.is_string()) {
        auto const& line = merge.get_ref<std::string const&>();
        std::size_t const blank = line.find(' ');
        if (blank == std::string::npos || line.find(' ', blank + 1) != std::string::npos) {
          fail<TextError>(where(), ": expected two symbols with one blank between them, got ", detail::in_quotes(line));
        }
        result.add_merge(std::string_view(line).substr(0, blank), std::string_view(line).substr(blank + 1), where);
      } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
        result.add_merge(merge[0].get_ref<std::string const&>(), merge[1].get_ref<std::string const&>(), where);
      } else {
        fail<TextError>(where(), ": expected \"A B\" or [\"A\", \"B\"]");
      }
    }
    result.finish();
    // The numbers are fixed by the order of the merges; a file that numbers otherwise belongs to another model.
    if (auto const vocabulary = model->find("vocab"); vocabulary != model->end() && vocabulary->is_object()) {
      for (std::size_t id = 0; id < result.size(); ++id) {
        auto const entry = vocabulary->find(result.symbols_[id]);
        if (entry == vocabulary->end()) {
          // Start and end may be listed among the added tokens only.
          require<TextError>(id >= 512 + result.merge_count(), shown, ": model.vocab has no symbol ",
                             detail::in_quotes(result.symbols_[id]), "; this is not a CLIP tokenizer");
        } else if (*entry != id) {
          fail<TextError>(shown, ": model.vocab numbers ", detail::in_quotes(result.symbols_[id]), " ", written(*entry),
                          ", expected ", id, "; this is not a CLIP tokenizer");
        }
      }
    }
    return result;
  }

  std::vector<std::string> symbols_;
  std::vector<std::pair<std::int32_t, std::int32_t>> merges_;
  std::unordered_map<std::uint64_t, std::int32_t> pairs_;
  std::unordered_map<std::string, std::int32_t> ids_;  // while reading
};

namespace detail {

/// The vocabulary file in a folder: the names of the public files, then any bpe*.txt or bpe*.txt.gz.
inline std::optional<std::filesystem::path> vocabulary_in(std::filesystem::path const& folder) {
  namespace fs = std::filesystem;
  std::error_code error;
  for (char const* name :
       {"bpe_simple_vocab_16e6.txt.gz", "bpe_simple_vocab_16e6.txt", "merges.txt", "tokenizer.json"}) {
    if (fs::is_regular_file(folder / name, error)) return folder / name;
  }
  std::vector<fs::path> others;
  for (fs::directory_iterator entry(folder, error), last; !error && entry != last; entry.increment(error)) {
    std::string const name = entry->path().filename().string();
    std::error_code ignored;
    if (name.starts_with("bpe") && (name.ends_with(".txt") || name.ends_with(".txt.gz")) &&
        entry->is_regular_file(ignored)) {
      others.push_back(entry->path());
    }
  }
  if (others.empty()) return std::nullopt;
  return *std::min_element(others.begin(), others.end());
}

}  // namespace detail

/// The vocabulary of a model: `given` (a file, or a folder to look in), else beside the weights (or in them, if
/// `weights` is a folder), else in $KOVOS_HOME.
/// Throws FileError or TextError; if there is none, it says where it was looked for and where to get it.
KOVOS_DOOR Vocabulary find_vocabulary(std::filesystem::path const& weights,
                                      std::optional<std::filesystem::path> const& given = {});

#ifdef KOVOS_DEFINES_DOORS

KOVOS_DOOR Vocabulary find_vocabulary(std::filesystem::path const& weights,
                                      std::optional<std::filesystem::path> const& given) {
  namespace fs = std::filesystem;
  std::error_code error;
  std::vector<fs::path> folders;
  if (given) {
    if (!fs::is_directory(*given, error)) return Vocabulary::load(*given);
    folders.push_back(*given);
  } else {
    fs::path const beside = fs::is_directory(weights, error) ? weights : weights.parent_path();
    folders.push_back(beside.empty() ? fs::path(".") : beside);
    if (char const* home = std::getenv("KOVOS_HOME"); home != nullptr && *home != '\0') folders.emplace_back(home);
  }
  std::string places;
  for (auto const& folder : folders) {
    if (auto const file = detail::vocabulary_in(folder)) return Vocabulary::load(*file);
    places += (places.empty() ? "" : " and ") + detail::shown(folder);
  }
  fail<TextError>("no CLIP vocabulary found in ", places,
                  given || folders.size() > 1 ? "" : " ($KOVOS_HOME is not set)",
                  ": put bpe_simple_vocab_16e6.txt.gz (folder clip of github.com/openai/CLIP), or the merges.txt or "
                  "tokenizer.json of a Hugging Face CLIP model, there or name the file with --vocabulary");
}

#endif  // KOVOS_DEFINES_DOORS

}  // namespace kovos
