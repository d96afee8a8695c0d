// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>
#include <cstdint>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/problem/window.hpp"

namespace kovos::engine {

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::CutWindows const& p) {
  detail::for_each_index(
      context, "kovos::window_partition", p.windows.count() * p.windows.length(), KOKKOS_LAMBDA(std::size_t position) {
        std::size_t const c = p.windows.c, length = p.windows.length();
        std::size_t const source = p.windows.source(position / length, position % length);
        for (std::size_t i = 0; i < c; ++i) p.to[position * c + i] = p.from[source + i];
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::JoinWindows const& p) {
  detail::for_each_index(
      context, "kovos::window_reverse", p.windows.count() * p.windows.length(), KOKKOS_LAMBDA(std::size_t position) {
        std::size_t const c = p.windows.c, length = p.windows.length();
        std::size_t const source = p.windows.source(position / length, position % length);
        for (std::size_t i = 0; i < c; ++i) p.to[source + i] = p.from[position * c + i];
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::AddWindows const& p) {
  detail::for_each_index(
      context, "kovos::add_windows", p.windows.count() * p.windows.length(), KOKKOS_LAMBDA(std::size_t position) {
        std::size_t const c = p.windows.c, length = p.windows.length();
        std::size_t const source = p.windows.source(position / length, position % length);
        for (std::size_t i = 0; i < c; ++i) p.to[source + i] += p.from[position * c + i];
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::WindowRegions const& p) {
  std::size_t const height = p.windows.height, width = p.windows.width;
  std::size_t const size = p.windows.size, shift = p.windows.shift;
  std::size_t const length = size * size, columns = width / size;
  auto* const to = p.to;
  detail::for_each_index(
      context, "kovos::window_regions", height * width, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const w = index / length, position = index % length;
        std::size_t const y = w / columns * size + position / size;
        std::size_t const x = w % columns * size + position % size;
        int const row = y < height - size ? 0 : y < height - shift ? 1 : 2;
        int const column = x < width - size ? 0 : x < width - shift ? 1 : 2;
        to[index] = static_cast<std::uint8_t>(3 * row + column);
      });
}

}  // namespace kovos::engine
