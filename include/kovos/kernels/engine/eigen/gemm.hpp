// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/library.hpp"
#include "kovos/kernels/problem/gemm.hpp"

namespace kovos {

namespace detail {

/// Matrix products by Eigen, a block of rows per task; the epilogue follows while the block is in cache.
template <class Exec, class Product>
void gemm_eigen(Context<Exec> const& context, Product const& p) {
  using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  auto const index = [](std::size_t n) { return static_cast<Eigen::Index>(n); };
  auto const dense = [&](auto const& m, std::size_t first, std::size_t rows) {
    RowMajor result(index(rows), index(m.columns));
    copy_rows(m, first, rows, result.data());
    return result;
  };
  RowMajor const b = dense(p.b, 0, p.b.rows);
  std::size_t const tasks = (p.c.rows + rows_per_task - 1) / rows_per_task;
  for_each_task(context, "kovos::gemm eigen", workers(context, tasks), tasks, [&](std::size_t task, std::size_t) {
    std::size_t const first = task * rows_per_task;
    std::size_t const rows = std::min(rows_per_task, p.c.rows - first);
    RowMajor const a = dense(p.a, first, rows);
    RowMajor c(index(rows), index(p.c.columns));
    c.noalias() = a * b;
    for (std::size_t i = 0; i < rows; ++i) store_row(p, first + i, c.data() + i * p.c.columns);
  });
}

}  // namespace detail

namespace engine {

/// Matrix products by Eigen, the rest portable.
struct Eigen {
  template <class Exec>
  static bool serves(Context<Exec> const& context) {
    return context.engine() == Engine::eigen;
  }
};

template <class Exec, class A, class B>
requires(is_host_execution<Exec>&& is_model_scalar<A>&& is_model_scalar<B>) bool run(
    Eigen, Context<Exec> const& context, problem::Product<A, B, float> const& p) {
  if (p.a.columns == 0 || !has_unit_columns(p)) return false;
  detail::gemm_eigen(context, p);
  return true;
}

}  // namespace engine

}  // namespace kovos
