// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kovos/core/execution.hpp"
#include "kovos/core/image.hpp"
#include "kovos/io/safetensors.hpp"
#include "kovos/io/tensor_bytes.hpp"
#include "kovos/kernels/transpose.hpp"

namespace kovos::test {

/// Tensors by name, row-major, in the authors' axis order.
using ObservedTensors = std::map<std::string, std::vector<float>, std::less<>>;

/// What became of a comparison: how many tensors were compared, how much of its bound the worst of them took, and a
/// sentence for each that does not agree.
struct Comparison {
  std::size_t compared = 0;
  float most = 0;
  std::vector<std::string> complaints;
};

/// The authors' recorded numbers in tests/data/oracle (see the README there).
struct Oracle {
  nlohmann::json cases;
  NamedTensors tensors;
  NamedTensors weights;
  NamedTensors images;

  static Oracle const& instance() {
    static Oracle const oracle = read("cases");
    return oracle;
  }

  /// In geometries that the authors' numbers leave out: those of our PyTorch reference, which agrees with theirs
  /// (tests/reference/record_geometries.py).
  static Oracle const& geometries() {
    static Oracle const oracle = read("geometries");
    return oracle;
  }

  /// The weights of a case under their official names.
  NamedTensors weights_of(std::string const& name) const {
    NamedTensors result;
    result.source = "weights.safetensors";
    bool const p3 = cases.at(name).at("weights") == "tiny_p3";
    for (auto const& [key, tensor] : weights.tensors) {
      if (!key.starts_with("p3/")) result.tensors.try_emplace(key, tensor);
      else if (p3) result.tensors.insert_or_assign(key.substr(3), tensor);
    }
    // Some cases change what they have in common with the others.
    change(result, cases.at(name), "scaled", [](float value, float factor) { return value * factor; });
    change(result, cases.at(name), "added", [](float value, float term) { return value + term; });
    return result;
  }

  Image image_of(std::string const& name) const {
    auto const& tensor = images.tensors.at(cases.at(name).at("image").get<std::string>());
    Image image{tensor.shape[0], tensor.shape[1], std::vector<std::uint8_t>(tensor.bytes.size())};
    std::transform(tensor.bytes.begin(), tensor.bytes.end(), image.pixels.begin(),
                   [](std::byte b) { return std::to_integer<std::uint8_t>(b); });
    if (!cases.at(name).contains("cut")) return image;
    // The upper left corner of it.
    std::size_t const height = cases.at(name).at("cut")[0], width = cases.at(name).at("cut")[1];
    Image part{height, width, std::vector<std::uint8_t>(height * width * 3)};
    for (std::size_t y = 0; y < height; ++y) std::copy_n(image.row(y), width * 3, part.row(y));
    return part;
  }

  bool has(std::string const& name, std::string const& tensor) const {
    return cases.at(name).at("tensors").contains(tensor);
  }

  /// The stored elements of a tensor: every stride-th of the row-major original.
  std::vector<float> stored(std::string const& name, std::string const& tensor) const {
    std::size_t const stride = stride_of(name, tensor);
    return to_float(tensors.tensors.at(name + "/" + tensor + (stride == 1 ? "" : "@" + std::to_string(stride))));
  }
  std::size_t stride_of(std::string const& name, std::string const& tensor) const {
    return cases.at(name).at("tensors").at(tensor).at("stride").get<std::size_t>();
  }
  std::vector<std::size_t> shape_of(std::string const& name, std::string const& tensor) const {
    return cases.at(name).at("tensors").at(tensor).at("shape").get<std::vector<std::size_t>>();
  }
  float largest(std::string const& name, std::string const& tensor) const {
    return cases.at(name).at("tensors").at(tensor).at("max_abs").get<float>();
  }

  std::size_t size_of(std::string const& name, std::string const& tensor) const {
    std::size_t size = 1;
    for (auto extent : shape_of(name, tensor)) size *= extent;
    return size;
  }

  /// How far a tensor may be from the recorded one: whole numbers not at all, logits 5e-5, all others 1e-5 of their
  /// largest magnitude. PyTorch's own fp32 run is up to a third of that away from fp64.
  float bound(std::string const& name, std::string const& tensor) const {
    if (tensor == "logits") return 5e-5f;
    auto const& entry = cases.at(name).at("tensors").at(tensor);
    return entry.contains("max_abs") ? 1e-5f * entry.at("max_abs").get<float>() : 0.0f;
  }

  /// Everything that was recorded of a case against what was observed; recorded tensors that were not observed are
  /// complaints too. Left out are the token ids, which a case is given, and the labels, where near ties need a rule.
  Comparison compare(std::string const& name, ObservedTensors const& observed) const {
    Comparison result;
    for (auto const& [tensor, entry] : cases.at(name).at("tensors").items()) {
      if (tensor == "text.tokens" || tensor == "out.argmax") continue;
      auto const found = observed.find(tensor);
      if (found == observed.end()) {
        result.complaints.push_back(name + ": " + tensor + " was not observed");
        continue;
      }
      ++result.compared;
      float const worst = error(name, tensor, found->second), allowed = bound(name, tensor);
      if (allowed > 0) result.most = std::max(result.most, worst / allowed);
      if (!(worst <= allowed))
        result.complaints.push_back(name + ": " + tensor + " is " + std::to_string(worst) +
                                    " away from the recorded numbers, allowed are " + std::to_string(allowed));
    }
    if (result.compared == 0) result.complaints.push_back(name + ": nothing was compared");
    return result;
  }

  /// The largest |actual - recorded|, infinite if the sizes differ or anything is NaN.
  float error(std::string const& name, std::string const& tensor, std::vector<float> const& actual) const {
    auto const expected = stored(name, tensor);
    std::size_t const stride = stride_of(name, tensor);
    std::size_t const size = size_of(name, tensor);
    if (size == 0 || actual.size() != size || expected.size() != (size + stride - 1) / stride) return INFINITY;
    float worst = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      float const difference = std::fabs(actual[i * stride] - expected[i]);
      if (!(difference <= worst)) worst = difference;
      if (std::isnan(difference)) return INFINITY;
    }
    return worst;
  }

 private:
  static Oracle read(std::string const& cases) {
    std::string const folder = std::string(KOVOS_TEST_DATA) + "/oracle/";
    Oracle o;
    std::ifstream(folder + cases + ".json") >> o.cases;
    o.tensors = read_safetensors(folder + cases + ".safetensors");
    o.weights = read_safetensors(folder + "weights.safetensors");
    o.images = read_safetensors(folder + "images.safetensors");
    return o;
  }

  /// weight = f(weight, number) for the numbers by key under `what` of a case, in fp32.
  template <class F>
  static void change(NamedTensors& all, nlohmann::json const& of, char const* what, F const& f) {
    if (!of.contains(what)) return;
    for (auto const& [key, number] : of.at(what).items()) {
      auto& tensor = all.tensors.at(key);
      auto const values = std::make_shared<std::vector<float>>(to_float(tensor));
      for (auto& value : *values) value = f(value, number.template get<float>());
      tensor = {DType::f32, tensor.shape, std::as_bytes(std::span<float const>(*values)), values};
    }
  }
};

/// Collects what a model lets observe, in the authors' axis order; views of one picture are appended to each other.
template <class Exec>
class Recorder {
 public:
  explicit Recorder(Context<Exec> const& context) : context_(context) {}

  template <class V>
  void operator()(std::string_view name, V const& x) const {
    if constexpr (V::rank() == 4) {
      if (name == "agg.corr") return add(name, permute(context_, x, {3, 0, 1, 2}));  // [P, T, H, W]
      if (name.ends_with(".guidance_norm") || name.ends_with(".swin1") || name.ends_with(".swin2") ||
          name == "clip.patch_positions")
        return add(name, x);  // [N, L, C]
      if (name.starts_with("agg.layer") || name == "agg.corr_embed")
        return add(name, permute(context_, x, {3, 0, 1, 2}));
      return add(name, permute(context_, x, {0, 3, 1, 2}));  // [N, C, H, W]
    } else if constexpr (V::rank() == 3) {
      bool const sequence_first = (name.starts_with("clip.block") || name.starts_with("text.block"));
      if (sequence_first) return add(name, permute(context_, x, {1, 0, 2}));  // [L, N, D]
      return add(name, x);
    } else {
      return add(name, x);
    }
  }

  ObservedTensors const& tensors() const { return tensors_; }

 private:
  template <class V>
  void add(std::string_view name, V const& x) const {
    auto const host = to_host(context_, x);
    auto& list = tensors_[std::string(name)];
    list.insert(list.end(), host.data(), host.data() + host.size());
  }

  Context<Exec> context_;
  mutable ObservedTensors tensors_;
};

}  // namespace kovos::test
