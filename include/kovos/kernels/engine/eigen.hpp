// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cstddef>
#include <type_traits>

#include "kovos/core/execution.hpp"
#include "kovos/kernels/activation.hpp"
#include "kovos/kernels/engine/select.hpp"

namespace kovos::detail {

/// Matrix products by Eigen, a block of rows per task; the epilogue follows while the block is in cache.
template <class Exec, class Product>
void gemm_eigen(Context<Exec> const& context, Product const& p) {
  using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  auto const index = [](std::size_t n) { return static_cast<Eigen::Index>(n); };
  auto const dense = [&](auto const& m, std::size_t first, std::size_t rows) {
    RowMajor result(index(rows), index(m.columns));
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t j = 0; j < m.columns; ++j)
        result(index(i), index(j)) = static_cast<float>(m.data[(first + i) * m.row_stride + j * m.column_stride]);
    return result;
  };
  RowMajor const b = dense(p.b, 0, p.b.rows);
  std::size_t const chunk = 256;
  std::size_t const tasks = (p.c.rows + chunk - 1) / chunk;
  for_each_task(context, "kovos::gemm eigen", workers(context, tasks), tasks, [&](std::size_t task, std::size_t) {
    std::size_t const first = task * chunk;
    std::size_t const rows = std::min(chunk, p.c.rows - first);
    RowMajor const a = dense(p.a, first, rows);
    RowMajor c(index(rows), index(p.c.columns));
    c.noalias() = p.alpha * (a * b);
    auto const& e = p.epilogue;
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t j = 0; j < p.c.columns; ++j) {
        std::size_t const row = first + i;
        float sum = c(index(i), index(j));
        if (e.addend.data) sum += e.addend.data[(row / e.row_divisor) % e.addend.rows * e.addend.row_stride + j];
        sum = activated(sum, e.activation);
        if (e.residual.data) sum += e.residual.data[row * e.residual.row_stride + j];
        p.c.data[row * p.c.row_stride + j] = sum;
      }
  });
}

}  // namespace kovos::detail
