// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cmath>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/training/parameters.hpp"

namespace kovos {

struct AdamWConfig {
  double learning_rate = 2e-4;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double max_gradient_norm = 0.01;  ///< global L2 norm to which gradients are clipped; 0: not at all
};

namespace detail {

/// What one parameter has of its own in a step.
struct AdamWRate {
  float keep, step_size;
};

/// One step of AdamW on an element, in PyTorch's order of operations.
struct AdamWStep {
  float *value, *exp_avg, *exp_avg_sq;
  float const* gradient;
  float scale, beta1, beta2, root, epsilon;
  AdamWRate rate;

  KOKKOS_FUNCTION void operator()(std::size_t i) const {
    float const g = gradient[i] * scale;
    float const m = exp_avg[i] * beta1 + g * (1 - beta1);
    float const v = exp_avg_sq[i] * beta2 + g * g * (1 - beta2);
    exp_avg[i] = m;
    exp_avg_sq[i] = v;
    value[i] = value[i] * rate.keep - rate.step_size * (m / (Kokkos::sqrt(v) / root + epsilon));
  }
};

/// The step with the rate of a piece's parameter.
struct AdamWSteps {
  AdamWStep step;
  AdamWRate const* rates;
  KOKKOS_FUNCTION AdamWStep operator()(ParameterPiece const& piece) const {
    AdamWStep one = step;
    one.rate = rates[piece.parameter];
    return one;
  }
};

/// The sums of squares of runs of 4096 elements.
template <class Exec>
void square_sums(Context<Exec> const& context, float const* x, std::size_t size, std::size_t runs, double* sums) {
  for_each_index(
      context, "kovos::square_sums", runs, KOKKOS_LAMBDA(std::size_t run) {
        double sum = 0;
        for (std::size_t i = run * 4096; i < (run + 1) * 4096 && i < size; ++i)
          sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
        sums[run] = sum;
      });
}

}  // namespace detail

/// The L2 norm of a tensor, summed in a fixed order in double precision.
template <class Exec>
double l2_norm(Context<Exec> const& context, DynamicTensor<float, 1, typename Exec::memory_space> const& x) {
  std::size_t const runs = (x.size() + 4095) / 4096;
  auto const sums = context.template tensor<double>(runs);
  detail::square_sums(context, x.data(), x.size(), runs, sums.data());
  auto const host = to_host(context, sums);
  double sum = 0;
  for (std::size_t i = 0; i < runs; ++i) sum += host.data()[i];
  return std::sqrt(sum);
}

/// Adam with decoupled weight decay (Loshchilov, Hutter 2019), one rate and decay per parameter, and clipping of the
/// global gradient norm before each step as torch.nn.utils.clip_grad_norm_.
template <class Exec = Kokkos::DefaultExecutionSpace>
class AdamW {
 public:
  using Flat = typename TrainedParameters<Exec>::Flat;

  AdamW(Context<Exec> const& context, AdamWConfig const& config, TrainedParameters<Exec> const& parameters)
      : context_(context),
        config_(config),
        exp_avg_(dynamic_extents<1>{parameters.values().size()}),
        exp_avg_sq_(dynamic_extents<1>{parameters.values().size()}) {
    fill(context_, exp_avg_, 0.0f);
    fill(context_, exp_avg_sq_, 0.0f);
  }

  AdamWConfig const& config() const { return config_; }
  Flat const& exp_avg() const { return exp_avg_; }
  Flat const& exp_avg_sq() const { return exp_avg_sq_; }
  std::size_t steps() const { return steps_; }
  void set_steps(std::size_t steps) { steps_ = steps; }

  /// One step with the rate learning_rate * multiplier, in one launch, asynchronous but for the norm. Returns the
  /// gradient norm before clipping; if it is not finite nothing is changed.
  double step(TrainedParameters<Exec> const& parameters, double multiplier = 1) {
    double const norm = l2_norm(context_, parameters.gradients());
    if (!std::isfinite(norm)) return norm;
    double const scale = config_.max_gradient_norm > 0 ? std::min(1.0, config_.max_gradient_norm / (norm + 1e-6)) : 1.0;
    ++steps_;
    double const t = static_cast<double>(steps_);
    DynamicTensor<detail::AdamWRate, 1> const rates(dynamic_extents<1>{parameters.list().size()});
    for (std::size_t k = 0; k < rates.size(); ++k) {
      auto const& rule = parameters.list()[k].rule;
      double const rate = config_.learning_rate * rule.learning_rate_multiplier * multiplier;
      rates.data()[k] = {static_cast<float>(1 - rate * rule.weight_decay),
                         static_cast<float>(rate / (1 - std::pow(config_.beta1, t)))};
    }
    detail::AdamWStep step{};
    step.value = parameters.values().data();
    step.exp_avg = exp_avg_.data();
    step.exp_avg_sq = exp_avg_sq_.data();
    step.gradient = parameters.gradients().data();
    step.scale = static_cast<float>(scale);
    step.beta1 = static_cast<float>(config_.beta1);
    step.beta2 = static_cast<float>(config_.beta2);
    step.root = static_cast<float>(std::sqrt(1 - std::pow(config_.beta2, t)));
    step.epsilon = static_cast<float>(config_.epsilon);
    auto const of = to_device(context_, rates);
    detail::for_each_in_pieces(context_, "kovos::AdamW", parameters.pieces(), detail::AdamWSteps{step, of.data()});
    parameters.publish();
    return norm;
  }

 private:
  Context<Exec> context_;
  AdamWConfig config_;
  Flat exp_avg_, exp_avg_sq_;
  std::size_t steps_ = 0;
};

}  // namespace kovos
