// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kovos/autodiff/tape.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
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

/// Elements [begin, begin + size) of the flat arrays, all of one parameter.
struct ParameterPiece {
  static constexpr std::size_t most = 1024;
  std::size_t begin = 0;
  std::uint32_t size = 0;
  std::uint32_t parameter = 0;
};

namespace detail {

/// f(piece)(index) for a place (piece, element) in a table of pieces.
template <class F>
struct PieceEntry {
  F f;
  ParameterPiece const* pieces;
  KOKKOS_FUNCTION void operator()(std::size_t row, std::size_t column) const {
    ParameterPiece const piece = pieces[row];
    if (column < piece.size) f(piece)(piece.begin + column);
  }
};

/// f(piece)(index) for every index of every piece, in one launch. What f(piece) returns holds what is the same for all
/// elements of a piece.
template <class Exec, class F>
void for_each_in_pieces(Context<Exec> const& context, char const* label,
                        DynamicTensor<ParameterPiece, 1, typename Exec::memory_space> const& table, F const& f) {
  ParameterPiece const* const pieces = table.data();
  if constexpr (is_host_execution<Exec>) {
    for_each_index(context, label, table.size(), [=](std::size_t k) {
      auto const g = f(pieces[k]);
      std::size_t const begin = pieces[k].begin, end = begin + pieces[k].size;
      for (std::size_t i = begin; i < end; ++i) g(i);
    });
  } else {
    for_each_entry(context, label, table.size(), ParameterPiece::most, PieceEntry<F>{f, pieces});
  }
}

/// Appends [begin, begin + size), cut into pieces.
inline void append_pieces(std::vector<ParameterPiece>& list, std::size_t begin, std::size_t size,
                          std::size_t parameter) {
  for (std::size_t done = 0; done < size; done += ParameterPiece::most)
    list.push_back({begin + done, static_cast<std::uint32_t>(std::min(ParameterPiece::most, size - done)),
                    static_cast<std::uint32_t>(parameter)});
}

/// Where in an array of bf16 the copy of a master weight is: `less` elements before the weight's own place.
struct RoundPiece {
  float const* values;
  bf16* copies;
  std::size_t less;
  KOKKOS_FUNCTION void operator()(std::size_t i) const { copies[i - less] = bf16(values[i]); }
};
struct RoundPieces {
  float const* values;
  bf16* copies;
  std::size_t const* less;
  KOKKOS_FUNCTION RoundPiece operator()(ParameterPiece const& piece) const {
    return {values, copies, less[piece.parameter]};
  }
};

}  // namespace detail

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
    auto const all = parameters_of(network);
    std::vector<ParameterReference const*> trained;
    for (auto const& parameter : all) {
      std::optional<ParameterRule> const how = rule(parameter.name(), parameter.role());
      if (!how || is_statistic(parameter.role())) continue;
      require<CheckpointError>(!parameter.empty(), "[TrainedParameters] ", parameter.name(),
                               " has no values to start from");
      list_.push_back(
          {parameter.name(), {parameter.shape().begin(), parameter.shape().end()}, 0, parameter.size(), *how});
      trained.push_back(&parameter);
    }
    bind(trained);
  }

  Context<Exec> const& context() const { return context_; }

  std::vector<TrainedParameter> const& list() const { return list_; }
  /// All elements of all parameters, nothing else; `parameter` is an index of the list.
  DynamicTensor<ParameterPiece, 1, Memory> const& pieces() const { return pieces_; }
  Flat const& values() const { return values_; }
  Flat const& gradients() const { return gradients_; }

  /// Differentiates with respect to all of them.
  template <Recompute Policy>
  void watch(Tape<Exec, Policy> const& tape) const {
    for (auto const& entry : list_)
      tape.watch(values_.slice(entry.offset, entry.size), gradients_.slice(entry.offset, entry.size));
    for (auto const& one : rounded_)
      tape.watch(copies_.slice(one.copy, one.size), gradients_.slice(one.offset, one.size));
  }

  void clear_gradients() const { fill(context_, gradients_, 0.0f); }

  /// Rounds the master weights into the network's bf16 copies; after every change of `values`.
  void publish() const {
    detail::for_each_in_pieces(context_, "kovos::round", rounded_pieces_,
                               detail::RoundPieces{values_.data(), copies_.data(), less_.data()});
  }

 private:
  /// Moves the values of these, which list_ describes, into flat arrays.
  void bind(std::vector<ParameterReference const*> const& trained) {
    std::size_t total = 0, rounded = 0;
    std::vector<ParameterPiece> pieces, rounded_pieces;
    std::vector<std::size_t> less;
    for (std::size_t i = 0; i < trained.size(); ++i) {
      auto& entry = list_[i];
      entry.offset = total;
      detail::append_pieces(pieces, total, entry.size, i);
      if (trained[i]->dtype() != DType::f32) {
        detail::append_pieces(rounded_pieces, total, entry.size, less.size());
        less.push_back(total - rounded);
        rounded_.push_back({total, rounded, entry.size});
        rounded += aligned<bf16>(entry.size);
      }
      total += aligned<float>(entry.size);
    }
    values_ = Flat(dynamic_extents<1>{total});
    gradients_ = Flat(dynamic_extents<1>{total});
    copies_ = decltype(copies_)(dynamic_extents<1>{rounded});
    pieces_ = table(pieces);
    rounded_pieces_ = table(rounded_pieces);
    less_ = table(less);
    fill(context_, values_, 0.0f);
    fill(context_, gradients_, 0.0f);

    std::size_t next_rounded = 0;
    for (std::size_t i = 0; i < trained.size(); ++i) {
      auto const& parameter = *trained[i];
      Flat const slot = values_.slice(list_[i].offset, list_[i].size);
      if (parameter.dtype() == DType::f32) {
        assign(context_, slot, copy_of(context_, parameter.template flat<float, Memory>()));
        parameter.train_in(slot);
      } else {
        assign(context_, slot, copy_of(context_, parameter.template flat<bf16, Memory>()));
        parameter.train_in(copies_.slice(rounded_[next_rounded++].copy, list_[i].size));
      }
    }
    publish();
  }

  /// A parameter stored as bf16: where its master weights are, and where its copy.
  struct RoundedCopy {
    std::size_t offset, copy, size;
  };

  template <class T>
  static std::size_t aligned(std::size_t size) {
    constexpr std::size_t line = 64 / sizeof(T);
    return (size + line - 1) / line * line;
  }

  template <class T>
  DynamicTensor<T, 1, Memory> table(std::vector<T> const& list) const {
    DynamicTensor<T, 1> const host(dynamic_extents<1>{list.size()});
    std::copy(list.begin(), list.end(), host.data());
    return to_device(context_, host);
  }

  Context<Exec> context_;
  std::vector<TrainedParameter> list_;
  std::vector<RoundedCopy> rounded_;
  Flat values_, gradients_;
  DynamicTensor<bf16, 1, Memory> copies_;
  DynamicTensor<ParameterPiece, 1, Memory> pieces_, rounded_pieces_;
  DynamicTensor<std::size_t, 1, Memory> less_;
};

}  // namespace kovos
