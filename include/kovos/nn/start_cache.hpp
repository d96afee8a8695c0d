// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "kovos/core/dtype.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/hash.hpp"
#include "kovos/core/packed_operands.hpp"
#include "kovos/io/named_tensors.hpp"
#include "kovos/io/safetensors.hpp"
#include "kovos/nn/parameter.hpp"

namespace kovos {

/// What a start made of a checkpoint's weights, on disk for the next one: the operands an engine packed
/// (PackedOperands), the parameters that had to be converted, that all weights are finite, and the fingerprint of the
/// text encoder. A start that finds them maps them and never reads the large matrices of the checkpoint. Small
/// parameters are kept as well: the system reads ahead, and would fetch the large ones that lie between them.
///
/// One safetensors file per (path of the weights, engine, type), so that new weights take the place of old ones. It
/// counts only for the weights it was made of, told by their names and shapes and by the file's size and times: their
/// content is not hashed, because that would take longer than packing it. A file that is damaged, foreign or out of
/// date is as good as none, and so is a folder that cannot be written: nothing is ever thrown. For host memory.
class StartCache {
 public:
  /// To be counted up whenever what a Key stands for changes: the layouts and their numbers, the order of the elements,
  /// or what is converted how.
  static constexpr std::string_view format = "kovos packed operands 1";

  /// Looks for the file of these weights. engine: engine_name(); type: what tells apart how the parameters are stored.
  /// No folder, or weights that are not from a file: there is none and none is written.
  StartCache(std::filesystem::path const& folder, NamedTensors const& weights, std::string const& engine,
             std::string const& type) {
    if (folder.empty() || weights.stamp.empty()) return;
    std::error_code ignored;
    auto const source = std::filesystem::weakly_canonical(weights.source, ignored).string();
    if (ignored) return;
    Fingerprint name, layout;
    for (std::string_view const part : {std::string_view(source), std::string_view(engine), std::string_view(type)})
      name.add(part);
    for (auto const& [key, tensor] : weights.tensors) {
      layout.add(key);
      layout.add(name_of(tensor.dtype));
      layout.add(std::as_bytes(std::span(tensor.shape)));
    }
    path_ = folder / ("packed-" + name.to_string() + ".safetensors");
    about_ = {{"format", std::string(format)}, {"weights", source}, {"stamp", weights.stamp},
              {"layout", layout.to_string()},  {"engine", engine},  {"type", type}};
    read();
  }

  /// These weights as a start may load them: converted already where that was necessary, and not searched for NaN
  /// again.
  NamedTensors ready(NamedTensors const& weights) const {
    NamedTensors result = weights;
    if (!found_) return result;
    result.finite = true;
    for (auto const& [name, kept] : kept_) {
      auto const colon = name.find(':') + 1;
      std::string_view const prefix(name.data(), colon);
      auto const entry = result.tensors.find(name.substr(colon));
      if (prefix == packed_prefix || entry == result.tensors.end()) continue;
      auto const type = prefix == rounded_prefix ? DType::bf16 : DType::f32;
      if (kept.bytes.size() == entry->second.size() * size_of(type))
        entry->second = {type, entry->second.shape, kept.bytes, kept.owner};
    }
    return result;
  }

  /// Puts back what was packed. The module was loaded from ready(weights) and declared constant in the context.
  template <class Exec, class Module>
  void restore(Context<Exec> const& context, Module const& network, NamedTensors const& weights) {
    if (path_.empty()) return;
    std::map<std::string, std::span<std::byte const>, std::less<>> places;
    for (auto const& parameter : parameters_of(network)) {
      auto const& name = parameter.name();
      auto const bytes = places[name] = bytes_of(parameter);
      auto const original = weights.tensors.find(name);
      bool const converted = original != weights.tensors.end() && original->second.bytes.data() != bytes.data();
      if (converted || bytes.size() <= small) copied_.insert(name);
    }
    // What was packed of something packed comes after it.
    for (bool const nested : {false, true})
      for (auto const& [name, kept] : kept_) {
        if (!name.starts_with(packed_prefix)) continue;
        std::string_view const text = std::string_view(name).substr(packed_prefix.size());
        if (text.starts_with('(') != nested) continue;
        if (auto const key = key_of(text, places)) context.packed().put(*key, kept.owner, kept.bytes.size());
      }
  }

  /// The fingerprint of the text encoder's parameters, if it is known.
  std::optional<Fingerprint> const& text_encoder() const { return text_encoder_; }
  void set_text_encoder(Fingerprint const& print) { text_encoder_ = print; }

  /// Writes what the context has packed of the module by now, unless all of it is in the file already. Whether it was
  /// written.
  template <class Exec, class Module>
  bool save(Context<Exec> const& context, Module const& network) {
    if (path_.empty()) return false;
    std::map<std::string, TensorBytes> all;
    std::map<std::byte const*, std::pair<std::byte const*, std::string>> sources;  // begin -> end, name
    for (auto const& parameter : parameters_of(network)) {
      auto const& name = parameter.name();
      auto const bytes = bytes_of(parameter);
      sources[bytes.data()] = {bytes.data() + bytes.size(), name};
      if (!copied_.contains(name)) continue;
      auto const prefix = parameter.dtype() == DType::bf16 ? rounded_prefix
                          : bytes.size() <= small          ? small_prefix
                                                           : large_prefix;
      add(all, std::string(prefix) + name, bytes, parameter.owner());
    }
    auto const name_at = [&](void const* address) -> std::string {
      auto const* const byte = static_cast<std::byte const*>(address);
      auto source = sources.upper_bound(byte);
      if (source == sources.begin()) return {};
      --source;
      auto const& [end, name] = source->second;
      return byte < end ? name + '+' + std::to_string(byte - source->first) : std::string();
    };
    auto const entries = context.packed().entries();
    for (bool const nested : {false, true})
      for (auto const& entry : entries) {
        std::string text = name_at(entry.key.data);
        if (text.empty() || text.starts_with('(') != nested) continue;
        for (auto const number : entry.key.layout) text += ',' + std::to_string(number);
        if (entry.key.second) {
          auto const second = name_at(entry.key.second);
          if (second.empty()) continue;
          text += ',' + second;
        }
        std::span const bytes(static_cast<std::byte const*>(entry.memory.get()), entry.bytes);
        add(all, std::string(packed_prefix) + text, bytes, entry.memory);
        if (!nested) sources[bytes.data()] = {bytes.data() + bytes.size(), '(' + text + ')'};
      }
    bool news = false;
    for (auto const& [name, tensor] : all) {
      auto const known = kept_.find(name);
      news = news || known == kept_.end() || known->second.bytes.data() != tensor.bytes.data();
    }
    if (!news) return false;
    auto about = about_;
    if (text_encoder_) about["text encoder"] = std::to_string(text_encoder_->value());
    try {
      std::filesystem::create_directories(path_.parent_path());
      // As aligned as memory of our own. Durable, because holes would be wrong numbers.
      write_safetensors(path_, all, about, {.alignment = 64, .durable = true});
    } catch (std::exception const&) {
      return false;  // the next start packs again
    }
    kept_ = std::move(all);
    return true;
  }

 private:
  static constexpr std::size_t small = 65536;  // bytes

  // In this order in the file: everything is aligned whatever the sizes, and what is read lies together.
  static constexpr std::string_view packed_prefix = "packed:", small_prefix = "parameter:",
                                    large_prefix = "rarely read:", rounded_prefix = "rounded:";

  static std::span<std::byte const> bytes_of(ConstParameterReference const& parameter) {
    return {static_cast<std::byte const*>(parameter.data()), parameter.size_in_bytes()};
  }

  static void add(std::map<std::string, TensorBytes>& to, std::string name, std::span<std::byte const> bytes,
                  std::shared_ptr<void const> const& owner) {
    to[std::move(name)] = {DType::u8, {bytes.size()}, bytes, owner};
  }

  void read() {
    std::error_code ignored;
    if (!std::filesystem::is_regular_file(path_, ignored)) return;
    try {
      auto file = read_safetensors(path_);
      for (auto const& [key, value] : about_) {
        auto const said = file.metadata.find(key);
        if (said == file.metadata.end() || said->second != value) return;
      }
      for (auto& [name, tensor] : file.tensors) {
        auto const alignment = name.starts_with(rounded_prefix) ? alignof(std::uint16_t) : alignof(float);
        if (tensor.dtype != DType::u8 || reinterpret_cast<std::uintptr_t>(tensor.bytes.data()) % alignment != 0)
          continue;
        // Owners of their own tell PackedOperands when each of them is gone.
        tensor.owner = std::shared_ptr<void const>(tensor.bytes.data(), [file = tensor.owner](void const*) {});
        kept_.insert({name, tensor});
      }
      if (auto const print = file.metadata.find("text encoder"); print != file.metadata.end()) {
        std::string_view text = print->second;
        std::uint64_t value = 0;
        if (take_number(text, value) && text.empty()) text_encoder_ = Fingerprint(value);
      }
      found_ = true;
    } catch (std::exception const&) {
      // The next save() replaces it.
    }
  }

  /// Takes digits off the front of a text.
  template <class Number>
  static bool take_number(std::string_view& text, Number& number) {
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc()) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
  }

  /// Takes "name+offset" off the front of a text, where a name in brackets is that of an entry.
  template <class Places>
  void const* take_place(std::string_view& text, Places const& places) const {
    std::span<std::byte const> source;
    if (text.starts_with('(')) {
      auto const end = text.find(')');
      if (end == std::string_view::npos) return nullptr;
      auto const entry = kept_.find(std::string(packed_prefix) + std::string(text.substr(1, end - 1)));
      if (entry == kept_.end()) return nullptr;
      source = entry->second.bytes;
      text.remove_prefix(end + 1);
    } else {
      auto const end = text.find('+');
      if (end == std::string_view::npos) return nullptr;
      auto const place = places.find(text.substr(0, end));
      if (place == places.end()) return nullptr;
      source = place->second;
      text.remove_prefix(end);
    }
    std::size_t offset = 0;
    if (!text.starts_with('+')) return nullptr;
    text.remove_prefix(1);
    return take_number(text, offset) && offset < source.size() ? source.data() + offset : nullptr;
  }

  template <class Places>
  std::optional<PackedKey> key_of(std::string_view text, Places const& places) const {
    PackedKey key;
    key.data = take_place(text, places);
    if (!key.data) return std::nullopt;
    for (auto& number : key.layout) {
      if (!text.starts_with(',')) return std::nullopt;
      text.remove_prefix(1);
      if (!take_number(text, number)) return std::nullopt;
    }
    if (text.starts_with(',')) {
      text.remove_prefix(1);
      key.second = take_place(text, places);
      if (!key.second) return std::nullopt;
    }
    return text.empty() ? std::optional(key) : std::nullopt;
  }

  std::filesystem::path path_;                // empty: nothing is kept
  std::map<std::string, std::string> about_;  // what the file must say of itself
  std::map<std::string, TensorBytes> kept_;   // what is in the file
  std::set<std::string> copied_;              // parameters that are kept themselves
  std::optional<Fingerprint> text_encoder_;
  bool found_ = false;
};

}  // namespace kovos
