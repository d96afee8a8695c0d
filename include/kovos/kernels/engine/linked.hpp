// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kovos/core/config.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/kernels/engine/solve.hpp"
#include "kovos/kernels/problem/activation.hpp"
#include "kovos/kernels/problem/attention.hpp"
#include "kovos/kernels/problem/convolution.hpp"
#include "kovos/kernels/problem/crop.hpp"
#include "kovos/kernels/problem/elementwise.hpp"
#include "kovos/kernels/problem/embedding.hpp"
#include "kovos/kernels/problem/gather.hpp"
#include "kovos/kernels/problem/gemm.hpp"
#include "kovos/kernels/problem/grouped_reduction.hpp"
#include "kovos/kernels/problem/label_choice.hpp"
#include "kovos/kernels/problem/leading_axis_attention.hpp"
#include "kovos/kernels/problem/linear_attention.hpp"
#include "kovos/kernels/problem/losses.hpp"
#include "kovos/kernels/problem/mask_overlap.hpp"
#include "kovos/kernels/problem/norm_attention.hpp"
#include "kovos/kernels/problem/normalization.hpp"
#include "kovos/kernels/problem/pooling.hpp"
#include "kovos/kernels/problem/pre_norm.hpp"
#include "kovos/kernels/problem/resample.hpp"
#include "kovos/kernels/problem/selection.hpp"
#include "kovos/kernels/problem/softmax.hpp"
#include "kovos/kernels/problem/sums.hpp"
#include "kovos/kernels/problem/transpose.hpp"
#include "kovos/kernels/problem/transposed_convolution.hpp"
#include "kovos/kernels/problem/window.hpp"
#include "kovos/kernels/problem/window_blending.hpp"
#include "kovos/kernels/problem/window_block.hpp"

// The problems whose loops kovos::instruction_sets has compiled for the default execution space (src/loops.cpp): the
// one list of them. A problem that is not here is compiled wherever it is solved.
// clang-format off
#define KOVOS_EACH_LINKED_PROBLEM(F)                              \
  F(problem::Activate<float>)                                     \
  F(problem::ActivateInto)                                        \
  F(problem::ActivationGradient)                                  \
  F(problem::AddColumnSums)                                       \
  F(problem::AddParts)                                            \
  F(problem::AddPeriodicSums)                                     \
  F(problem::AddProduct<bf16, float>)                             \
  F(problem::AddProduct<float, bf16>)                             \
  F(problem::AddProduct<float, float>)                            \
  F(problem::AddRepeats)                                          \
  F(problem::AddResizedPart)                                      \
  F(problem::AddScaled)                                           \
  F(problem::AddTo)                                               \
  F(problem::AddWindow)                                           \
  F(problem::AddWindows)                                          \
  F(problem::ApplyScaling)                                        \
  F(problem::Argmax)                                              \
  F(problem::AtMost)                                              \
  F(problem::Attention)                                           \
  F(problem::AttentionGradient)                                   \
  F(problem::AveragePool)                                         \
  F(problem::AveragePoolGradient)                                 \
  F(problem::BlendWindowsWithGlobal)                              \
  F(problem::Clear)                                               \
  F(problem::ComposeUpsampling<float, float>)                     \
  F(problem::ContrastiveLoss)                                     \
  F(problem::Convert<bf16, float>)                                \
  F(problem::Convert<float, bf16>)                                \
  F(problem::Convert<float, float>)                               \
  F(problem::Convolution<bf16>)                                   \
  F(problem::Convolution<float>)                                  \
  F(problem::ConvolutionInputGradient<float>)                     \
  F(problem::ConvolutionNormRelu<problem::Convolution<float>>)    \
  F(problem::ConvolutionNormRelu<problem::UpsamplingConvolution>) \
  F(problem::ConvolutionWeightGradient)                           \
  F(problem::CopyRuns)                                            \
  F(problem::Crop)                                                \
  F(problem::CutWindows)                                          \
  F(problem::Embed<bf16>)                                         \
  F(problem::Embed<float>)                                        \
  F(problem::Fill<float>)                                         \
  F(problem::GatherRows)                                          \
  F(problem::GroupNorm)                                           \
  F(problem::GroupNormGradient)                                   \
  F(problem::GroupedReduction)                                    \
  F(problem::JoinWindows)                                         \
  F(problem::L2Normalize)                                         \
  F(problem::L2NormalizeGradient)                                 \
  F(problem::LayerNorm)                                           \
  F(problem::LayerNormGradient)                                   \
  F(problem::LeadingAxisAttention)                                \
  F(problem::LeadingAxisAttentionGradient)                        \
  F(problem::LinearAttention)                                     \
  F(problem::LinearAttentionGradient)                             \
  F(problem::MapToTokens)                                         \
  F(problem::MapToTokensPositionGradient)                         \
  F(problem::MaskExtents)                                         \
  F(problem::MaskOwner)                                           \
  F(problem::MeanOverAxis1)                                       \
  F(problem::MeanOverAxis1Gradient)                               \
  F(problem::NormAttention<bf16>)                                 \
  F(problem::NormAttention<float>)                                \
  F(problem::NormLinear<bf16>)                                    \
  F(problem::NormLinear<float>)                                   \
  F(problem::NormMlp<bf16>)                                       \
  F(problem::NormMlp<float>)                                      \
  F(problem::NormalizeChannels)                                   \
  F(problem::Permute<float>)                                      \
  F(problem::Product<float, bf16, float>)                         \
  F(problem::Product<float, float, float>)                        \
  F(problem::ResizeArgmax)                                        \
  F(problem::ResizeBicubic)                                       \
  F(problem::ResizeBilinear)                                      \
  F(problem::RowMaximum)                                          \
  F(problem::ScaleShares)                                         \
  F(problem::ScatterRows)                                         \
  F(problem::SigmoidCrossEntropy)                                 \
  F(problem::SoftMaximum)                                         \
  F(problem::Softmax)                                             \
  F(problem::TransposedAxis)                                      \
  F(problem::TransposedConvolution<float>)                        \
  F(problem::TransposedConvolutionGradient<float>)                \
  F(problem::UpdateArgmax)                                        \
  F(problem::UpsamplingConvolution)                               \
  F(problem::WindowAttention)                                     \
  F(problem::WindowAttentionGradient)                             \
  F(problem::WindowBlock<bf16>)                                   \
  F(problem::WindowBlock<float>)                                  \
  F(problem::WindowRegions)
// clang-format on

#ifdef KOVOS_LINKS_LOOPS
namespace kovos::detail {
#define KOVOS_IS_LINKED(...) extern template void solve(Context<> const&, __VA_ARGS__ const&);
KOVOS_EACH_LINKED_PROBLEM(KOVOS_IS_LINKED)
#undef KOVOS_IS_LINKED
}  // namespace kovos::detail
#endif
