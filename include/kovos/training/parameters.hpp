// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kovos/autodiff/tape.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/nn/parameter.hpp"

namespace kovos {

/// How one parameter is trained.
struct ParameterRule {
  double learning_rate_multiplier = 1;
  double weight_decay = 0;
};

/// One parameter inside the flat arrays.
struct TrainedParameter {
  std::string name;
  std::vector<std::size_t> shape;
  std::size_t offset = 0;
  std::size_t size = 0;
  ParameterRule rule;
};

/// The parameters of a network that are trained: their fp32 values and gradients, each in one flat array. The network's
/// own parameters become slices of `values`, so that it sees every step at once; where it stores bf16, it gets a
/// rounded copy and the values here are the master weights (Micikevicius et al. 2018). Frozen parameters stay as they
/// are.
template <class Exec = Kokkos::DefaultExecutionSpace>
class TrainedParameters {
 public:
  using Memory = typename Exec::memory_space;
  using Flat = DynamicTensor<float, 1, Memory>;

  /// Asynchronous on the context's instance, as all that follows.
  /// rule(name, role) -> std::optional<ParameterRule>, empty for a parameter that is frozen. Statistics always are.
  /// Throws CheckpointError if a parameter has no values yet.
  template <class Network, class Rule>
  TrainedParameters(Context<Exec> const& context, Network& network, Rule const& rule) : context_(context) {
    std::size_t total = 0;
    auto const all = parameters_of(network);
    std::vector<ParameterReference const*> trained;
    for (auto const& parameter : all) {
      std::optional<ParameterRule> const how = rule(parameter.name(), parameter.role());
      if (!how || is_statistic(parameter.role())) continue;
      require<CheckpointError>(!parameter.empty(), "[TrainedParameters] ", parameter.name(),
                               " has no values to start from");
      list_.push_back(
          {parameter.name(), {parameter.shape().begin(), parameter.shape().end()}, total, parameter.size(), *how});
      trained.push_back(&parameter);
      total += (parameter.size() + alignment - 1) / alignment * alignment;
    }
    bind(trained, total);
  }

  Context<Exec> const& context() const { return context_; }

  std::vector<TrainedParameter> const& list() const { return list_; }
  Flat const& values() const { return values_; }
  Flat const& gradients() const { return gradients_; }

  /// Differentiates with respect to all of them.
  template <Recompute Policy>
  void watch(Tape<Exec, Policy> const& tape) const {
    for (auto const& entry : list_)
      tape.watch(values_.slice(entry.offset, entry.size), gradients_.slice(entry.offset, entry.size));
    for (auto const& rounded : copies_) tape.watch(rounded.copy, gradients_.slice(rounded.offset, rounded.copy.size()));
  }

  void clear_gradients() const { fill(context_, gradients_, 0.0f); }

  /// Rounds the master weights into the network's bf16 copies; after every change of `values`.
  void publish() const {
    for (auto const& rounded : copies_) round(context_, values_.data() + rounded.offset, rounded.copy);
  }

 private:
  static constexpr std::size_t alignment = 16;

  /// Moves the values of these, which list_ describes, into flat arrays of `total` elements.
  void bind(std::vector<ParameterReference const*> const& trained, std::size_t total) {
    values_ = Flat(dynamic_extents<1>{total});
    gradients_ = Flat(dynamic_extents<1>{total});
    fill(context_, values_, 0.0f);
    fill(context_, gradients_, 0.0f);
    for (std::size_t i = 0; i < trained.size(); ++i) {
      auto const& parameter = *trained[i];
      Flat const slot = values_.slice(list_[i].offset, list_[i].size);
      if (parameter.dtype() == DType::f32) {
        assign(context_, slot, copy_of(context_, parameter.template flat<float, Memory>()));
        parameter.train_in(slot);
      } else {
        assign(context_, slot, copy_of(context_, parameter.template flat<bf16, Memory>()));
        DynamicTensor<bf16, 1, Memory> const rounded(dynamic_extents<1>{parameter.size()});
        parameter.train_in(rounded);
        copies_.push_back({rounded, list_[i].offset});
      }
    }
    publish();
  }

  struct RoundedCopy {
    DynamicTensor<bf16, 1, Memory> copy;
    std::size_t offset;
  };

 public:  // nvcc wants device code in public functions
  static void round(Context<Exec> const& context, float const* from, DynamicTensor<bf16, 1, Memory> const& to) {
    auto* const out = to.data();
    detail::for_each_index(
        context, "kovos::round", to.size(), KOKKOS_LAMBDA(std::size_t i) { out[i] = bf16(from[i]); });
  }

 private:
  Context<Exec> context_;
  std::vector<TrainedParameter> list_;
  std::vector<RoundedCopy> copies_;
  Flat values_, gradients_;
};

}  // namespace kovos
