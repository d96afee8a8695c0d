// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/io/named_tensors.hpp"
#include "kovos/io/tensor_bytes.hpp"
#include "kovos/nn/parameter.hpp"
#include "kovos/text/embedded_vocabulary.hpp"

namespace kovos {

/// What happened to each key of a checkpoint.
struct LoadReport {
  std::vector<std::string> matched;
  std::vector<std::string> missing;     // the model has them, the file does not
  std::vector<std::string> unexpected;  // the file has them, the model does not
  std::vector<std::string> mismatched;  // "key: expected [..], got [..]"

  bool complete() const { return missing.empty() && mismatched.empty(); }

  /// One clear list for people; long lists are cut after `most` entries each.
  std::string to_string(std::size_t most = 8) const {
    std::string text;
    auto const list = [&](std::string_view title, std::vector<std::string> const& keys) {
      if (keys.empty()) return;
      text += "\n  " + std::string(title) + " (" + std::to_string(keys.size()) + "):";
      for (std::size_t i = 0; i < keys.size() && i < most; ++i) text += "\n    " + keys[i];
      if (keys.size() > most) text += "\n    ... and " + std::to_string(keys.size() - most) + " more";
    };
    list("missing", missing);
    list("wrong shape", mismatched);
    list("unexpected", unexpected);
    return text;
  }
};

namespace detail {

/// Entries that are no parameters of ours: buffers that follow from the geometry, and hints.
inline bool is_ignorable_key(std::string_view key) {
  return key.ends_with(".attn_mask") || key.ends_with("position_ids") || key == "logit_bias" ||
         key.starts_with("training.") || key == embedded_merges_key || key == "input_resolution" ||
         key == "context_length" || key == "vocab_size" || key == "attn_mask";
}

/// Whether all values are finite; stops at nothing, so that the loop vectorises.
template <class T>
bool all_finite(T const* data, std::size_t count) {
  using Bits = std::conditional_t<std::is_same_v<T, float>, std::uint32_t, std::uint16_t>;
  static_assert(sizeof(T) == sizeof(Bits));
  constexpr auto exponent = static_cast<Bits>(std::uint32_t{0x7f800000} >> (32 - 8 * sizeof(Bits)));
  std::size_t const chunk = 1 << 18;
  using Host = Kokkos::DefaultHostExecutionSpace;
  std::size_t bad = 0;
  Kokkos::parallel_reduce(
      "kovos::all_finite", Kokkos::RangePolicy<Host>(0, (count + chunk - 1) / chunk),
      [=](std::size_t part, std::size_t& found) {
        Bits marks = 0;
        for (std::size_t i = part * chunk, end = std::min(count, i + chunk); i < end; ++i) {
          Bits bits;
          std::memcpy(&bits, data + i, sizeof bits);
          marks = static_cast<Bits>(marks | ((bits & exponent) == exponent ? 1u : 0u));
        }
        found += marks;
      },
      bad);
  return bad == 0;
}

inline std::string shape_text(std::span<std::size_t const> shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

/// The values of one parameter, flat and in host memory: shared with the file if they are stored as T already,
/// converted otherwise; empty, with an entry in the report, if the file has none of that shape.
template <class T>
Tensor<T const, dynamic_extents<1>> parameter_values(NamedTensors const& file, std::string const& name,
                                                     std::span<std::size_t const> expected, LoadReport& report) {
  auto const found = file.tensors.find(name);
  if (found == file.tensors.end()) {
    report.missing.push_back(name);
    return {};
  }
  auto const& entry = found->second;
  if (!std::equal(entry.shape.begin(), entry.shape.end(), expected.begin(), expected.end())) {
    report.mismatched.push_back(name + ": expected " + shape_text(expected) + ", got " + shape_text(entry.shape));
    return {};
  }
  auto const damaged = [&] {
    fail<CheckpointError>(file.source, ": '", name,
                          "' contains NaN or infinite values; the file is damaged or its training diverged");
  };
  report.matched.push_back(name);
  dynamic_extents<1> const extents{entry.size()};
  auto const address = reinterpret_cast<std::uintptr_t>(entry.bytes.data());
  constexpr DType own = std::is_same_v<T, float> ? DType::f32 : DType::bf16;
  if (entry.dtype == own && address % alignof(T) == 0) {
    auto const* const values = reinterpret_cast<T const*>(entry.bytes.data());
    if (!file.finite && !all_finite(values, entry.size())) damaged();
    return {values, extents, entry.owner};
  }
  std::vector<float> const values = to_float(entry);
  if (!file.finite && !all_finite(values.data(), values.size())) damaged();
  Tensor<T, dynamic_extents<1>> copy(extents);
  for (std::size_t i = 0; i < values.size(); ++i) copy.data()[i] = T(values[i]);
  return copy;
}

}  // namespace detail

/// Fills a module's parameters from a file with canonical names. Parameters share the file's memory where its bytes are
/// of their type already; everything else is converted. Nothing is thrown for missing or mis-shaped keys: look at the
/// report. Throws CheckpointError naming the key if a weight is NaN or infinite, unless the file is known to be finite:
/// then nothing that is shared is read.
template <class Exec, class Module>
LoadReport load_parameters(Context<Exec> const& context, Module& network, NamedTensors const& file) {
  using Memory = typename Exec::memory_space;
  LoadReport report;
  std::set<std::string> known;
  auto const load = [&]<class T>(ParameterReference const& parameter, T) {
    auto const values = detail::parameter_values<T>(file, parameter.name(), parameter.shape(), report);
    if (!values.empty()) parameter.template give<T const, Memory>(to_device(context, values));
  };
  for (auto const& parameter : parameters_of(network)) {
    known.insert(parameter.name());
    if (parameter.dtype() == DType::f32) load(parameter, float{});
    else load(parameter, bf16{});
  }
  for (auto const& entry : file.tensors)
    if (!known.contains(entry.first) && !detail::is_ignorable_key(entry.first))
      report.unexpected.push_back(entry.first);
  return report;
}

/// Whether a file has all parameters of a module below a prefix, in their shapes.
template <class Module>
bool has_parameters(NamedTensors const& file, std::string const& prefix) {
  bool all = true;
  auto look = [&]<class T, class Memory, std::size_t... E>(std::string const& name, Parameter<T, Memory, E...> const&) {
    std::array<std::size_t, sizeof...(E)> const expected{E...};
    auto const found = file.tensors.find(prefix + name);
    all = all && found != file.tensors.end() && std::ranges::equal(found->second.shape, expected);
  };
  Module const module{};
  for_each_parameter(module, look);
  return all;
}

/// A parameter inside the encoders of a CLIP that the model would not use, such as a layer scale; empty if there is
/// none.
inline std::string foreign_parameter(LoadReport const& report) {
  for (auto const& key : report.unexpected)
    if (key.starts_with("visual.") || key.starts_with("transformer.")) return key;
  return "";
}

/// load_parameters, and a CheckpointError with the whole report unless every parameter was found in its shape.
template <class Exec, class Module>
LoadReport load_parameters_or_throw(Context<Exec> const& context, Module& network, NamedTensors const& file,
                                    std::string_view architecture) {
  auto report = load_parameters(context, network, file);
  require<CheckpointError>(report.complete(), file.source, ": the keys do not fit ", architecture,
                           "; `kovos inspect` shows what the file holds.", report.to_string());
  return report;
}

}  // namespace kovos
