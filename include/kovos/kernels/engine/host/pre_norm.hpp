// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/core/scalar.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/host/gemm.hpp"
#include "kovos/kernels/engine/host/host.hpp"
#include "kovos/kernels/engine/host/norm_operand.hpp"
#include "kovos/kernels/problem/gemm.hpp"
#include "kovos/kernels/problem/pre_norm.hpp"

namespace kovos {

namespace detail {

/// Rows shared out evenly among `threads`, so many at a time that what is made of them stays in the second-level cache.
struct RowChunks {
  std::size_t rows, count;
  RowChunks(std::size_t all, std::size_t most_rows, std::size_t threads) : rows(all) {
    std::size_t const rounds = (all + most_rows * threads - 1) / (most_rows * threads);
    count = std::min(all, rounds * threads);
  }
  std::size_t first(std::size_t chunk) const { return rows * chunk / count; }
  std::size_t most() const { return (rows + count - 1) / count; }
};

/// Each row is normalised and rounded once. E: what operands consist of, float or bf16.
template <class E, class Kernels, class Exec, class T>
void norm_linear_host(Context<Exec> const& context, Kernels const& kernels, problem::NormLinear<T> const& p) {
  std::size_t const c = p.c, depth = std::is_same_v<E, float> ? c : c + c % 2;
  std::size_t const stride = operand_stride<E>(depth), width = kernels.columns;
  std::size_t const count = p.maps.size();
  std::vector<DynamicTensor<E, 1, typename Exec::memory_space>> packed(count);
  std::vector<std::size_t> panels(count + 1);  // of all maps, one after the other
  for (std::size_t i = 0; i < count; ++i) {
    packed[i] = packed_map<E>(context, p.maps[i], p.rows, width);
    panels[i + 1] = panels[i] + (p.maps[i].weight.rows + width - 1) / width;
  }
  ProductTasks const tasks(context, p.rows, kernels.rows, panels[count]);
  auto const scratch = context.template tensor<E>(tasks.threads, tasks.chunk * stride);
  auto const lines = context.template tensor<float>(tasks.threads, norm_lines * c);
  for_each_task(context, "kovos::norm_linear", tasks.threads, tasks.row_tasks * tasks.column_tasks,
                [&](std::size_t task, std::size_t worker) {
                  std::size_t const row = task / tasks.column_tasks * tasks.chunk;
                  std::size_t const first = task % tasks.column_tasks * tasks.panels_per_task;
                  std::size_t const last = std::min(panels[count], first + tasks.panels_per_task);
                  if (first >= last) return;
                  E* const operand = scratch.data() + worker * scratch.extent(1);
                  HostProduct<E> g;
                  g.rows = std::min(tasks.chunk, p.rows - row);
                  norm_into<E>(kernels, p.norm, p.x + row * c, g.rows, c, operand, stride,
                               lines.data() + worker * norm_lines * c);
                  g.a = operand;
                  g.a_stride = stride;
                  g.segment_length = depth;
                  for (std::size_t i = 0; i < count; ++i) {
                    std::size_t const begin = std::max(first, panels[i]), end = std::min(last, panels[i + 1]);
                    if (begin >= end) continue;
                    std::size_t const panel = begin - panels[i];
                    std::size_t const out = p.maps[i].weight.rows;
                    problem::Product<float, T, float> const product{
                        {}, {}, {p.y[i], p.rows, out, out, 1}, 1, p.maps[i].epilogue()};
                    place_product(product, row, panel * width, (end - begin) * width, g);
                    g.packed_b = packed[i].data() + panel * depth * width;
                    kernels.gemm(g);
                  }
                });
}

/// Rows go through both layers before the next ones begin.
template <class E, class Kernels, class Exec, class T>
void norm_mlp_host(Context<Exec> const& context, Kernels const& kernels, problem::NormMlp<T> const& p) {
  constexpr bool rounded = !std::is_same_v<E, float>;
  std::size_t const c = p.c, hidden = p.first.weight.rows, width = kernels.columns;
  std::size_t const depth = rounded ? c + c % 2 : c, hidden_depth = rounded ? hidden + hidden % 2 : hidden;
  std::size_t const stride = operand_stride<E>(depth), hidden_stride = operand_stride<E>(hidden_depth);
  auto const packed_1 = packed_map<E>(context, p.first, p.rows, width);
  auto const packed_2 = packed_map<E>(context, p.second, p.rows, width);
  RowChunks const chunks(p.rows, 8 * kernels.rows, workers(context, p.rows));
  std::size_t const threads = workers(context, chunks.count);
  auto const scratch = context.template tensor<E>(threads, chunks.most() * (stride + hidden_stride));
  auto const lines = context.template tensor<float>(threads, norm_lines * c);
  for_each_task(context, "kovos::norm_mlp", threads, chunks.count, [&](std::size_t task, std::size_t worker) {
    std::size_t const row = chunks.first(task), rows = chunks.first(task + 1) - row;
    float* const from = p.x + row * c;
    E* const operand = scratch.data() + worker * scratch.extent(1);
    E* const middle = operand + chunks.most() * stride;
    norm_into<E>(kernels, p.norm, from, rows, c, operand, stride, lines.data() + worker * norm_lines * c);
    HostProduct<E> g;
    g.rows = rows;
    g.first_row = row;
    g.a = operand;
    g.a_stride = stride;
    g.segment_length = depth;
    g.packed_b = packed_1.data();
    g.columns = hidden;
    g.c_stride = hidden_stride;
    g.epilogue = host_epilogue(p.first.epilogue());
    g.epilogue.activation = p.activation;
    if constexpr (rounded) {
      g.c_bf16 = middle;
      if (hidden % 2)
        for (std::size_t i = 0; i < rows; ++i) middle[i * hidden_stride + hidden] = 0;
    } else {
      g.c = middle;
    }
    kernels.gemm(g);
    g.a = middle;
    g.a_stride = hidden_stride;
    g.segment_length = hidden_depth;
    g.packed_b = packed_2.data();
    g.columns = c;
    g.c = from;
    if constexpr (rounded) g.c_bf16 = nullptr;
    g.c_stride = c;
    g.epilogue = host_epilogue(p.second.epilogue());
    g.epilogue.residual = from;
    g.epilogue.residual_stride = c;
    kernels.gemm(g);
  });
}

}  // namespace detail

namespace engine {

template <class Exec, class T>
requires(is_host_execution<Exec>&& is_model_scalar<T>) bool run(Host, Context<Exec> const& context,
                                                                problem::NormLinear<T> const& p) {
  if (p.rows == 0 || p.c == 0) return false;
  if (auto const* const bf16 = detail::bf16_kernels(context))
    detail::norm_linear_host<std::uint16_t>(context, *bf16, p);
  else detail::norm_linear_host<float>(context, detail::best_host_kernels(), p);
  return true;
}

template <class Exec, class T>
requires(is_host_execution<Exec>&& is_model_scalar<T>) bool run(Host, Context<Exec> const& context,
                                                                problem::NormMlp<T> const& p) {
  if (p.rows == 0 || p.c == 0) return false;
  if (auto const* const bf16 = detail::bf16_kernels(context)) detail::norm_mlp_host<std::uint16_t>(context, *bf16, p);
  else detail::norm_mlp_host<float>(context, detail::best_host_kernels(), p);
  return true;
}

}  // namespace engine

}  // namespace kovos
