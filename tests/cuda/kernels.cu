// SPDX-License-Identifier: Apache-2.0
// Every kernel door on a device. What a door's parameters may be beside float is there once.
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kovos/autodiff/leading_axis_attention.hpp"
#include "kovos/autodiff/linear_attention.hpp"
#include "kovos/kernels/activation.hpp"
#include "kovos/kernels/attention.hpp"
#include "kovos/kernels/convolution.hpp"
#include "kovos/kernels/convolution_norm.hpp"
#include "kovos/kernels/cosine_similarity.hpp"
#include "kovos/kernels/crop.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/embedding.hpp"
#include "kovos/kernels/gather.hpp"
#include "kovos/kernels/gemm.hpp"
#include "kovos/kernels/grouped_reduction.hpp"
#include "kovos/kernels/label_choice.hpp"
#include "kovos/kernels/leading_axis_attention.hpp"
#include "kovos/kernels/linear_attention.hpp"
#include "kovos/kernels/mask_overlap.hpp"
#include "kovos/kernels/norm_attention.hpp"
#include "kovos/kernels/normalization.hpp"
#include "kovos/kernels/pooling.hpp"
#include "kovos/kernels/pre_norm.hpp"
#include "kovos/kernels/resample.hpp"
#include "kovos/kernels/resample_part.hpp"
#include "kovos/kernels/selection.hpp"
#include "kovos/kernels/softmax.hpp"
#include "kovos/kernels/transpose.hpp"
#include "kovos/kernels/transposed_convolution.hpp"
#include "kovos/kernels/upsampling_convolution.hpp"
#include "kovos/kernels/window.hpp"
#include "kovos/kernels/window_blending.hpp"
#include "kovos/kernels/window_block.hpp"

namespace kovos {

using Device = Kokkos::Cuda;
using Host = Kokkos::DefaultHostExecutionSpace;
static_assert(!has_host_engine<Device>);
static_assert(has_host_engine<Host>, "the CPU engine is there in a CUDA build too");

template <std::size_t Rank, class T = float>
using On = DynamicTensor<T, Rank, Device::memory_space>;

template <class T>
void products(Context<Device> const& context, On<2> const& x, On<2, T> const& weight, On<1, T> const& bias,
              On<4> const& map, On<4, T> const& kernel, On<4> const& y) {
  linear(context, x, weight, bias, Activation::gelu, as_matrix(x));
  conv2d(context, map, kernel, bias, 2, 1, Activation::relu);
  conv2d_part(context, map, kernel, 0, 1, y);
  conv_transpose2d(context, map, kernel, bias, y);
  auto const composed = compose_upsampling(context, kernel, kernel);
  upsample_conv2d(context, map, composed, y);
  NormParameters<On<1, T>, On<1, T>> const norm{bias, bias};
  GroupNormParameters<On<1, T>, On<1, T>> const groups{2, bias, bias};
  ScaledMap<Device::memory_space> const scaled{map, {}};
  conv2d(context, scaled, kernel, bias, 1, 1, Activation::relu);
  conv2d_norm_relu(context, scaled, kernel, groups);
  apply_scaling(context, upsample_conv2d_norm_relu(context, scaled, composed, y, groups));
  layer_norm(context, x, bias, bias);
  group_norm(context, map, 2, bias, bias, true);
  LinearMap<T> const to{as_matrix(weight), {}};
  norm_linear(context, x, norm, std::array{to, to});
  norm_mlp(context, x, norm, to, Activation::quick_gelu, to);
  norm_attention(context, x.reshape(dynamic_extents<3>(1, x.extent(0), x.extent(1))), norm,
                 AttentionMaps<T>{to, to, to, to}, 2);
  WindowBlock<NormParameters<On<1, T>, On<1, T>>, T> const block{norm, {to, to, to, to}, 2, norm,
                                                                 to,   Activation::gelu, to};
  window_block_addends(context, window_block(context, map, block, 4, 2), 4, 2);
  copy_of(context, weight);
  fill(context, weight, T(0.0f));
  assign(context, weight, weight);
}
template void products(Context<Device> const&, On<2> const&, On<2, float> const&, On<1, float> const&, On<4> const&,
                       On<4, float> const&, On<4> const&);
template void products(Context<Device> const&, On<2> const&, On<2, bf16> const&, On<1, bf16> const&, On<4> const&,
                       On<4, bf16> const&, On<4> const&);

void attentions(Context<Device> const& context, On<3> const& x, On<4> const& map, On<2, std::uint8_t> const& regions,
                RepeatedKey<Device::memory_space> const& padding) {
  attention(context, x, x, x, 2, true);
  attention_in_regions(context, x, x, x, 2, regions);
  window_attention(context, map, map, map, 2, 4, 2);
  linear_attention(context, x, x, x, 2, padding);
  leading_axis_attention(context, x, x, x, 2, padding);
}

/// The one gradient that neither CAT-Seg B nor CLIP asks for.
void recorded(Tape<Device> const& tape, On<3> const& x, RepeatedKey<Device::memory_space> const& padding) {
  leading_axis_attention(tape, x, x, x, 2, padding);
}

void maps(Context<Device> const& context, On<4> const& x, On<4> const& y, On<3> const& tokens, On<2> const& rows,
          On<1> const& row, On<1, std::int32_t> const& index, On<2, std::int32_t> const& ids,
          std::span<std::int32_t const> group) {
  activate(context, x, Activation::gelu);
  softmax(context, x);
  l2_normalize(context, x);
  cosine_similarity(context, rows, rows);
  crop(context, x, 1, 1, 2, 2);
  add_window(context, x, y, 0, 0);
  blend_windows_with_global(context, x, y, 4, 2);
  mean_over_axis1(context, tokens);
  add_in_place(context, x, y);
  normalize_channels(context, x, Kokkos::Array<float, 3>{}, Kokkos::Array<float, 3>{1, 1, 1});
  embed(context, ids, rows, rows);
  average_pool2d(context, x, 2);
  argmax(context, rows);
  update_argmax(context, rows, 0, row, index);
  resize_bilinear_argmax(context, x, 8, 8, 0, row, index);
  row_maximum(context, rows);
  mask_owner(context, rows, row);
  mask_extents(context, rows);
  reduce_groups(context, rows, group, Reduction::maximum);
  resize_bilinear(context, x, 8, 8, Alignment::corners);
  resize_bicubic(context, x, 8, 8);
  add_resized_part(context, x, y, 8, 8, 0, 0);
  map_to_tokens(context, x, row, rows);
  tokens_to_map(context, tokens, 2, 2);
  select_tokens(context, tokens, index);
  gather_rows(context, tokens, index);
  columns_of(context, tokens, 0, 1);
  assign_columns(context, tokens, 0, tokens);
  permute(context, x, {0, 3, 1, 2});
  window_reverse(context, window_partition(context, x, 4, 2), 1, 8, 8, 4, 2);
  window_regions(context, 8, 8, 4, 2);
}

/// The same doors on the processor beside it.
DynamicTensor<float, 2> beside(Context<Host> const& context, DynamicTensor<float, 2> const& x) {
  return linear(context, x, x, DynamicTensor<float, 1>{});
}

}  // namespace kovos
