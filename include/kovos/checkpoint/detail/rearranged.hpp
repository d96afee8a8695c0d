// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "kovos/core/dtype.hpp"
#include "kovos/io/tensor_bytes.hpp"

namespace kovos::detail {

/// Rows [first, first + count) of the leading axis; shares the bytes.
inline TensorBytes rows_of(TensorBytes const& t, std::size_t first, std::size_t count) {
  TensorBytes part = t;
  std::size_t const row = t.shape[0] == 0 ? 0 : t.bytes.size() / t.shape[0];
  part.shape[0] = count;
  part.bytes = t.bytes.subspan(first * row, count * row);
  return part;
}

inline TensorBytes owned(DType dtype, std::vector<std::size_t> shape, std::shared_ptr<std::vector<std::byte>> bytes) {
  TensorBytes t;
  t.dtype = dtype;
  t.shape = std::move(shape);
  t.bytes = *bytes;
  t.owner = std::move(bytes);
  return t;
}

inline TensorBytes transposed(TensorBytes const& t) {
  std::size_t const size = size_of(t.dtype), rows = t.shape[0], columns = t.shape[1];
  auto bytes = std::make_shared<std::vector<std::byte>>(t.bytes.size());
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < columns; ++j)
      std::memcpy(bytes->data() + (j * rows + i) * size, t.bytes.data() + (i * columns + j) * size, size);
  return owned(t.dtype, {columns, rows}, bytes);
}

inline TensorBytes concatenated(std::span<TensorBytes const* const> parts) {
  auto bytes = std::make_shared<std::vector<std::byte>>();
  std::size_t rows = 0;
  for (auto const* part : parts) {
    bytes->insert(bytes->end(), part->bytes.begin(), part->bytes.end());
    rows += part->shape.at(0);
  }
  auto shape = parts[0]->shape;
  shape[0] = rows;
  return owned(parts[0]->dtype, std::move(shape), bytes);
}

}  // namespace kovos::detail
