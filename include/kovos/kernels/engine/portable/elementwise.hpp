// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/core/scalar.hpp"
#include "kovos/kernels/engine/portable/activated.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/problem/elementwise.hpp"

namespace kovos::engine {

template <class Exec, class From, class To>
void run(Portable, Context<Exec> const& context, problem::Convert<From, To> const& p) {
  detail::for_each_index(
      context, "kovos::convert", p.count, KOKKOS_LAMBDA(std::size_t i) { p.y[i] = static_cast<To>(p.x[i]); });
}

template <class Exec, class T>
void run(Portable, Context<Exec> const& context, problem::Fill<T> const& p) {
  detail::for_each_index(
      context, "kovos::fill", p.count, KOKKOS_LAMBDA(std::size_t i) { p.x[i] = p.value; });
}

template <class Exec, class T>
void run(Portable, Context<Exec> const& context, problem::Activate<T> const& p) {
  detail::for_each_index(
      context, "kovos::activate", p.count, KOKKOS_LAMBDA(std::size_t i) {
        p.x[i] = static_cast<T>(detail::activated(static_cast<accumulate_t<T>>(p.x[i]), p.activation));
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::AtMost const& p) {
  detail::for_each_index(
      context, "kovos::at_most", p.count, KOKKOS_LAMBDA(std::size_t i) { p.x[i] = p.x[i] < p.most ? p.x[i] : p.most; });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::AddRepeats const& p) {
  detail::for_each_index(
      context, "kovos::add_in_place", p.count, KOKKOS_LAMBDA(std::size_t i) { p.x[i] += p.y[i % p.period]; });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::MeanOverAxis1 const& p) {
  detail::for_each_index(
      context, "kovos::mean_over_axis1", p.a * p.c, KOKKOS_LAMBDA(std::size_t i) {
        float sum = 0;
        for (std::size_t j = 0; j < p.b; ++j) sum += p.x[(i / p.c * p.b + j) * p.c + i % p.c];
        p.y[i] = sum / static_cast<float>(p.b);
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::MeanOverAxis1Gradient const& p) {
  detail::for_each_index(
      context, "kovos::mean_over_axis1_gradient", p.a * p.b * p.c,
      KOKKOS_LAMBDA(std::size_t i) { p.dx[i] += p.dy[i / p.c / p.b * p.c + i % p.c] / static_cast<float>(p.b); });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::NormalizeChannels const& p) {
  detail::for_each_entry(
      context, "kovos::normalize_channels", p.pixels, p.c, KOKKOS_LAMBDA(std::size_t pixel, std::size_t i) {
        p.y[pixel * p.c + i] = (p.x[pixel * p.c + i] - p.shift[i]) / p.divisor[i];
      });
}

}  // namespace kovos::engine
