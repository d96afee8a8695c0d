// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/engine/select.hpp"
#include "kovos/kernels/gemm.hpp"
#include "kovos/kernels/normalization.hpp"

namespace kovos {

/// y = x weight^T + addend[(row / row_divisor) % addend.rows]: a linear layer, whose bias may differ from row to row.
template <class T>
struct LinearMap {
  Matrix<T const> weight;      // [Out, In]
  Matrix<float const> addend;  // [R, Out]; a bias is one row
  std::size_t row_divisor = 1;

  Epilogue epilogue() const {
    Epilogue e;
    e.addend = addend;
    e.row_divisor = row_divisor;
    return e;
  }
};

/// The parameters of a layer normalisation over C channels.
template <class W, class B>
struct NormParameters {
  W weight;  // [C]
  B bias;    // [C]
};
template <class W, class B>
NormParameters(W, B) -> NormParameters<W, B>;

namespace detail {

template <class W, class B>
void check_norm(char const* where, std::size_t c, NormParameters<W, B> const& norm) {
  require_extent(where, "the weight of the norm", norm.weight.size(), c);
  require_extent(where, "the bias of the norm", norm.bias.size(), c);
}

#ifdef KOVOS_HOST_ENGINE

/// Whether this context's kernels are those below; a context that records for a gradient has none.
template <class C>
constexpr bool may_fuse = false;
template <class Exec>
constexpr bool may_fuse<Context<Exec>> = is_host_execution<Exec>;

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

/// So many rows are normalised before they are rounded.
inline constexpr std::size_t norm_lines = 4;

/// Normalised rows as the first operand of a product: [rows, stride] of E, float or bf16, zero beyond `depth` where
/// that is odd. lines: room for norm_lines rows.
template <class E, class Kernels>
void norm_into(Kernels const& kernels, float const* x, std::size_t rows, std::size_t c, float const* weight,
               float const* bias, float epsilon, E* to, std::size_t stride, float* lines) {
  for (std::size_t i = 0; i < rows; ++i) {
    if (i % norm_lines == 0)
      best_host_kernels().layer_norm(x + i * c, lines, weight, bias, std::min(norm_lines, rows - i), c, epsilon);
    float const* const line = lines + i % norm_lines * c;
    if constexpr (std::is_same_v<E, float>) {
      std::copy_n(line, c, to + i * stride);
    } else {
      if (c % 2) to[i * stride + c] = 0;
      kernels.round(line, to + i * stride, c);
    }
  }
}

/// How far apart rows of a first operand stand: not a multiple of the page size, which would share cache sets.
template <class E>
constexpr std::size_t operand_stride(std::size_t depth) {
  return depth + 64 / sizeof(E);
}

template <class E, class Exec, class T>
auto packed_map(Context<Exec> const& context, LinearMap<T> const& map, Matrix<float> const& c, std::size_t width) {
  problem::Product<float, T, float> const product{{}, map.weight.transposed(), c, 1, {}};
  std::size_t const in = map.weight.columns;
  if constexpr (std::is_same_v<E, float>) return packed_panels<E>(context, product, in, width, packed_as_matrix);
  else return packed_panels<E>(context, product, in + in % 2, width, packed_as_bf16_matrix);
}

template <class E, class Kernels, class Exec, class W, class B, class T, std::size_t P>
void norm_linear_host(Context<Exec> const& context, Kernels const& kernels, Matrix<float const> const& x,
                      W const& weight, B const& bias, std::array<LinearMap<T>, P> const& maps,
                      std::array<Matrix<float>, P> const& to, float epsilon) {
  std::size_t const c = x.columns, depth = std::is_same_v<E, float> ? c : c + c % 2;
  std::size_t const stride = operand_stride<E>(depth), width = kernels.columns;
  std::array<DynamicTensor<E, 1, typename Exec::memory_space>, P> packed;
  std::array<std::size_t, P + 1> panels{};  // of all maps, one after the other
  for (std::size_t i = 0; i < P; ++i) {
    packed[i] = packed_map<E>(context, maps[i], to[i], width);
    panels[i + 1] = panels[i] + (to[i].columns + width - 1) / width;
  }
  ProductTasks const tasks(context, x.rows, kernels.rows, panels[P]);
  auto const scratch = context.template tensor<E>(tasks.threads, tasks.chunk * stride);
  auto const lines = context.template tensor<float>(tasks.threads, norm_lines * c);
  for_each_task(context, "kovos::norm_linear", tasks.threads, tasks.row_tasks * tasks.column_tasks,
                [&](std::size_t task, std::size_t worker) {
                  std::size_t const row = task / tasks.column_tasks * tasks.chunk;
                  std::size_t const first = task % tasks.column_tasks * tasks.panels_per_task;
                  std::size_t const last = std::min(panels[P], first + tasks.panels_per_task);
                  if (first >= last) return;
                  E* const operand = scratch.data() + worker * scratch.extent(1);
                  HostProduct<E> g;
                  g.rows = std::min(tasks.chunk, x.rows - row);
                  norm_into<E>(kernels, x.data + row * x.row_stride, g.rows, c, weight.data(), bias.data(), epsilon,
                               operand, stride, lines.data() + worker * norm_lines * c);
                  g.a = operand;
                  g.a_stride = stride;
                  g.segment_length = depth;
                  for (std::size_t i = 0; i < P; ++i) {
                    std::size_t const begin = std::max(first, panels[i]), end = std::min(last, panels[i + 1]);
                    if (begin >= end) continue;
                    std::size_t const panel = begin - panels[i];
                    problem::Product<float, T, float> const product{{}, {}, to[i], 1, maps[i].epilogue()};
                    place_product(product, row, panel * width, (end - begin) * width, g);
                    g.packed_b = packed[i].data() + panel * depth * width;
                    kernels.gemm(g);
                  }
                });
}

template <class E, class Kernels, class Exec, class W, class B, class T>
void norm_mlp_host(Context<Exec> const& context, Kernels const& kernels, Matrix<float> const& x, W const& weight,
                   B const& bias, LinearMap<T> const& first, Activation activation, LinearMap<T> const& second,
                   float epsilon) {
  constexpr bool halves = !std::is_same_v<E, float>;
  std::size_t const c = x.columns, hidden = first.weight.rows, width = kernels.columns;
  std::size_t const depth = halves ? c + c % 2 : c, hidden_depth = halves ? hidden + hidden % 2 : hidden;
  std::size_t const stride = operand_stride<E>(depth), hidden_stride = operand_stride<E>(hidden_depth);
  auto const packed_1 = packed_map<E>(context, first, Matrix<float>{nullptr, x.rows, hidden, hidden, 1}, width);
  auto const packed_2 = packed_map<E>(context, second, x, width);
  RowChunks const chunks(x.rows, 8 * kernels.rows, workers(context, x.rows));
  std::size_t const threads = workers(context, chunks.count);
  auto const scratch = context.template tensor<E>(threads, chunks.most() * (stride + hidden_stride));
  auto const lines = context.template tensor<float>(threads, norm_lines * c);
  for_each_task(context, "kovos::norm_mlp", threads, chunks.count, [&](std::size_t task, std::size_t worker) {
    std::size_t const row = chunks.first(task), rows = chunks.first(task + 1) - row;
    float* const from = x.data + row * x.row_stride;
    E* const operand = scratch.data() + worker * scratch.extent(1);
    E* const middle = operand + chunks.most() * stride;
    norm_into<E>(kernels, from, rows, c, weight.data(), bias.data(), epsilon, operand, stride,
                 lines.data() + worker * norm_lines * c);
    HostProduct<E> g;
    g.rows = rows;
    g.first_row = row;
    g.a = operand;
    g.a_stride = stride;
    g.segment_length = depth;
    g.packed_b = packed_1.data();
    g.columns = hidden;
    g.c_stride = hidden_stride;
    g.epilogue = host_epilogue(first.epilogue());
    g.epilogue.activation = activation;
    if constexpr (halves) {
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
    if constexpr (halves) g.c_bf16 = nullptr;
    g.c_stride = x.row_stride;
    g.epilogue = host_epilogue(second.epilogue());
    g.epilogue.residual = from;
    g.epilogue.residual_stride = x.row_stride;
    kernels.gemm(g);
  });
}

#endif  // KOVOS_HOST_ENGINE

}  // namespace detail

/// Several linear maps of the same normalised rows: y_i = map_i(layer_norm(x)). x: [M, C], map i: [O_i, C] ->
/// P tensors [M, O_i]. The first half of a pre-norm block: queries, keys and values. The host engine normalises and
/// rounds each row once. Throws ShapeError if the extents disagree.
template <execution_context C, class V, class W, class B, class T, std::size_t P>
std::array<V, P> norm_linear(C const& context, V const& x, NormParameters<W, B> const& norm,
                             std::array<LinearMap<T>, P> const& maps, float epsilon = 1e-5f) {
  static_assert(V::rank() == 2, "kovos::norm_linear: x must be a matrix [M, C]");
  std::array<V, P> y;
  detail::check_norm("norm_linear", x.extent(1), norm);
  for (std::size_t i = 0; i < P; ++i) {
    require_extent("norm_linear", "the last extent of x", x.extent(1), maps[i].weight.columns);
    y[i] = context.template tensor<float>(x.extent(0), maps[i].weight.rows);
  }
#ifdef KOVOS_HOST_ENGINE
  if constexpr (detail::may_fuse<C>)
    if (detail::uses_host_engine(context) && x.size() > 0) {
      auto const weight = detail::as_float(context, norm.weight);
      auto const bias = detail::as_float(context, norm.bias);
      std::array<Matrix<float>, P> to;
      for (std::size_t i = 0; i < P; ++i) to[i] = as_matrix(y[i]);
      Matrix<float const> const rows = as_matrix(x);
      if (auto const* const half = detail::bf16_kernels(context))
        detail::norm_linear_host<std::uint16_t>(context, *half, rows, weight, bias, maps, to, epsilon);
      else detail::norm_linear_host<float>(context, detail::best_host_kernels(), rows, weight, bias, maps, to, epsilon);
      return y;
    }
#endif
  auto const h = layer_norm(context, x, norm.weight, norm.bias, epsilon);
  for (std::size_t i = 0; i < P; ++i)
    gemm(context, as_matrix(h), maps[i].weight.transposed(), as_matrix(y[i]), maps[i].epilogue());
  return y;
}

namespace detail {

template <class V, class W, class B, class T>
void check_norm_mlp(V const& x, NormParameters<W, B> const& norm, LinearMap<T> const& first,
                    LinearMap<T> const& second) {
  static_assert(V::rank() == 2, "kovos::norm_mlp: x must be a matrix [M, C]");
  check_norm("norm_mlp", x.extent(1), norm);
  require_extent("norm_mlp", "the last extent of x", x.extent(1), first.weight.columns);
  require_extent("norm_mlp", "the width of the second layer", second.weight.columns, first.weight.rows);
  require_extent("norm_mlp", "the rows of the second layer", second.weight.rows, x.extent(1));
}

/// norm_mlp, layer by layer. to: [M, C]; x itself where the context allows it.
template <execution_context C, class V, class W, class B, class T>
void norm_mlp_by_layers(C const& context, V const& x, V const& to, NormParameters<W, B> const& norm,
                        LinearMap<T> const& first, Activation activation, LinearMap<T> const& second, float epsilon) {
  auto const h = layer_norm(context, x, norm.weight, norm.bias, epsilon);
  auto const middle = context.template tensor<float>(x.extent(0), first.weight.rows);
  auto e = first.epilogue();
  e.activation = activation;
  gemm(context, as_matrix(h), first.weight.transposed(), as_matrix(middle), e);
  e = second.epilogue();
  e.residual = as_matrix(x);
  gemm(context, as_matrix(middle), second.weight.transposed(), as_matrix(to), e);
}

}  // namespace detail

/// x + second(activation(first(layer_norm(x)))): the second half of a pre-norm block, a perceptron of two layers.
/// x: [M, C], overwritten where the context allows it; first: [H, C], second: [C, H] -> [M, C]. The wide tensor between
/// the two is never stored as a whole. Throws ShapeError if the extents disagree.
template <class Exec, class V, class W, class B, class T>
V norm_mlp(Context<Exec> const& context, V const& x, NormParameters<W, B> const& norm, LinearMap<T> const& first,
           Activation activation, LinearMap<T> const& second, float epsilon = 1e-5f) {
  detail::check_norm_mlp(x, norm, first, second);
#ifdef KOVOS_HOST_ENGINE
  if constexpr (is_host_execution<Exec>)
    if (detail::uses_host_engine(context) && x.size() > 0) {
      auto const weight = detail::as_float(context, norm.weight);
      auto const bias = detail::as_float(context, norm.bias);
      if (auto const* const half = detail::bf16_kernels(context))
        detail::norm_mlp_host<std::uint16_t>(context, *half, as_matrix(x), weight, bias, first, activation, second,
                                             epsilon);
      else
        detail::norm_mlp_host<float>(context, detail::best_host_kernels(), as_matrix(x), weight, bias, first,
                                     activation, second, epsilon);
      return x;
    }
#endif
  std::size_t const rows = x.extent(0), most = 8192;  // at a time
  for (std::size_t row = 0; row < rows; row += most) {
    auto const part = x.slice(row, std::min(most, rows - row));
    detail::norm_mlp_by_layers(context, part, part, norm, first, activation, second, epsilon);
  }
  return x;
}

}  // namespace kovos
