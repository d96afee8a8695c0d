// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/kernels/activation_kind.hpp"

namespace kovos::problem {

/// y[i] = x[i] as To for i < count; to bf16 rounded to nearest even.
template <class From, class To>
struct Convert {
  From const* x = nullptr;
  To* y = nullptr;
  std::size_t count = 0;
};

/// y[i] = x[i] as float. T: float or bf16.
template <class T>
using Widen = Convert<T, float>;

/// x[i] = value for i < count.
template <class T>
struct Fill {
  T* x = nullptr;
  std::size_t count = 0;
  T value{};
};

/// x[i] = activation(x[i]) for i < count.
template <class T>
struct Activate {
  T* x = nullptr;
  std::size_t count = 0;
  Activation activation = Activation::none;
};

/// x[i] = min(x[i], most) for i < count; NaN becomes most.
struct AtMost {
  float* x = nullptr;
  std::size_t count = 0;
  float most = 0;
};

/// x[i] += y[i % period] for i < count. period divides count.
struct AddRepeats {
  float* x = nullptr;
  float const* y = nullptr;
  std::size_t count = 0, period = 1;
};

/// y = the mean over the middle axis. x: [a, b, c], y: [a, c].
struct MeanOverAxis1 {
  float const* x = nullptr;
  float* y = nullptr;
  std::size_t a = 0, b = 1, c = 0;
};

/// dx[i, j] += dy[i] / b for j < b. dy: [a, c], dx: [a, b, c].
struct MeanOverAxis1Gradient {
  float const* dy = nullptr;
  float* dx = nullptr;
  std::size_t a = 0, b = 1, c = 0;
};

/// y = (x - shift) / divisor for each channel. x, y: [pixels, c], c <= most_channels.
struct NormalizeChannels {
  static constexpr std::size_t most_channels = 4;
  float const* x = nullptr;
  float* y = nullptr;
  std::size_t pixels = 0, c = 0;
  float shift[most_channels]{};
  float divisor[most_channels]{};
};

}  // namespace kovos::problem
