// SPDX-License-Identifier: Apache-2.0
// What every kernel owes its caller besides numbers: names of its own in every profile, no memory asked of the system
// once the workspace has it, and nothing done behind the context's back.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

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
#include "kovos/kernels/label_choice.hpp"
#include "kovos/kernels/leading_axis_attention.hpp"
#include "kovos/kernels/linear_attention.hpp"
#include "kovos/kernels/norm_attention.hpp"
#include "kovos/kernels/normalization.hpp"
#include "kovos/kernels/pooling.hpp"
#include "kovos/kernels/pre_norm.hpp"
#include "kovos/kernels/resample.hpp"
#include "kovos/kernels/selection.hpp"
#include "kovos/kernels/softmax.hpp"
#include "kovos/kernels/transpose.hpp"
#include "kovos/kernels/transposed_convolution.hpp"
#include "kovos/kernels/window.hpp"
#include "kovos/kernels/window_blending.hpp"
#include "kovos/kernels/window_block.hpp"
#include "support/spaces.hpp"
#include "support/tools_probe.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {
using Exec = Kokkos::DefaultHostExecutionSpace;
using Names = std::vector<std::string>;

/// Every kernel once, by name.
std::vector<std::pair<std::string, std::function<void(Context<Exec> const&)>>> all_kernels() {
  using C = Context<Exec>;
  auto const x = random_tensor<float>(1, 1, 2, 6, 6, 16), y = random_tensor<float>(2, 1, 2, 6, 6, 16);
  auto const canvas = random_tensor<float>(2, 1, 2, 8, 8, 16);
  auto const s = random_tensor<float>(3, 1, 12, 6, 16);
  auto const m = random_tensor<float>(4, 1, 20, 16);
  auto const m16 = random_tensor<bf16>(5, 1, 20, 16);
  auto const v = random_tensor<float>(6, 1, 16), b = random_tensor<float>(7, 1, 20),
             best = random_tensor<float>(8, 0, 16);
  auto const v16 = random_tensor<bf16>(6, 1, 16), b16 = random_tensor<bf16>(7, 1, 20);
  auto const w = random_tensor<float>(8, 1, 20, 16, 3, 3), wt = random_tensor<float>(9, 1, 16, 20, 2, 2);
  auto const guidance = random_tensor<float>(10, 1, 1, 12, 12, 3);
  auto const positions = random_tensor<float>(11, 1, 36, 16);
  auto const tokens = random_tensor<float>(12, 1, 2, 37, 16);
  auto const colours = random_tensor<float>(13, 1, 1, 4, 4, 3);
  DynamicTensor<std::int32_t, 1> index(dynamic_extents<1>{2}), labels(dynamic_extents<1>{16});
  index(0) = 1, index(1) = 0;
  for (std::size_t i = 0; i < 16; ++i) labels(i) = 0;
  auto const ids = index.reshape(dynamic_extents<2>(1, 2));
  RepeatedKey<Kokkos::HostSpace> const padding{5, v, v};
  auto const back = random_tensor<float>(14, 1, 16, 20);
  auto const raised = random_tensor<float>(15, 1, 4, 20, 16, 2, 2);
  auto const one = random_tensor<float>(16, 1, 1, 20), other_one = random_tensor<float>(17, 1, 1, 16);
  auto const maps = random_tensor<float>(18, 1, 3, 3, 2, 1);
  auto const widen = [=] { return LinearMap<float>{as_matrix(m), as_matrix(one)}; };
  auto const narrow = [=] { return LinearMap<float>{as_matrix(back), as_matrix(other_one)}; };
  auto const square = random_tensor<float>(19, 1, 16, 16);
  auto const same = [=] { return LinearMap<float>{as_matrix(square), as_matrix(other_one)}; };
  GroupNormParameters const norm{std::size_t{4}, b, b};
  DynamicTensor<std::uint8_t, 2> const regions(dynamic_extents<2>{4, 6});
  std::fill_n(regions.data(), regions.size(), std::uint8_t{0});
  return {
      {"activate", [=](C const& c) { activate(c, x, Activation::gelu); }},
      {"attention", [=](C const& c) { attention(c, s, s, s, 4, true); }},
      {"window_attention", [=](C const& c) { window_attention(c, x, y, x, 4, 3, 1); }},
      {"linear_attention", [=](C const& c) { linear_attention(c, s, s, s, 4, padding); }},
      {"leading_axis_attention", [=](C const& c) { leading_axis_attention(c, s, s, s, 4, padding); }},
      {"conv2d", [=](C const& c) { conv2d(c, x, w, b, 1, 1, Activation::relu); }},
      {"conv2d bf16 bias", [=](C const& c) { conv2d(c, x, w, b16, 1, 1); }},
      {"conv_transpose2d", [=](C const& c) { conv_transpose2d(c, x, wt, b, guidance); }},
      {"cosine_similarity", [=](C const& c) { cosine_similarity(c, m, m); }},
      {"gemm and linear", [=](C const& c) { linear(c, x, m, b, Activation::quick_gelu); }},
      {"linear bf16", [=](C const& c) { linear(c, x, m16, b16); }},
      {"layer_norm", [=](C const& c) { layer_norm(c, x, v, v); }},
      {"layer_norm bf16", [=](C const& c) { layer_norm(c, x, v16, v16); }},
      {"group_norm", [=](C const& c) { group_norm(c, y, 4, v, v, true); }},
      {"l2_normalize", [=](C const& c) { l2_normalize(c, m); }},
      {"softmax", [=](C const& c) { softmax(c, m); }},
      {"average_pool2d", [=](C const& c) { average_pool2d(c, x, 2); }},
      {"resize_bilinear", [=](C const& c) { resize_bilinear(c, x, 9, 5); }},
      {"resize_bicubic", [=](C const& c) { resize_bicubic(c, x, 9, 5); }},
      {"window_partition and reverse",
       [=](C const& c) { window_reverse(c, window_partition(c, x, 3, 1), 2, 6, 6, 3, 1); }},
      {"window_regions", [=](C const& c) { window_regions(c, 6, 6, 3, 1); }},
      {"crop", [=](C const& c) { crop(c, x, 1, 1, 4, 4); }},
      {"add_window", [=](C const& c) { add_window(c, canvas, x, 1, 1); }},
      {"blend_windows_with_global", [=](C const& c) { blend_windows_with_global(c, x, y, 4, 2); }},
      {"copy_of", [=](C const& c) { copy_of(c, m16); }},
      {"fill", [=](C const& c) { fill(c, best, 0.0f); }},
      {"assign", [=](C const& c) { assign(c, x, y); }},
      {"mean_over_axis1", [=](C const& c) { mean_over_axis1(c, s); }},
      {"add_in_place", [=](C const& c) { add_in_place(c, x, v); }},
      {"normalize_channels",
       [=](C const& c) {
         normalize_channels(c, colours, Kokkos::Array<float, 3>{1, 2, 3}, Kokkos::Array<float, 3>{1, 2, 3});
       }},
      {"embed", [=](C const& c) { embed(c, ids, m, m); }},
      {"map_to_tokens", [=](C const& c) { map_to_tokens(c, x, v, positions); }},
      {"tokens_to_map", [=](C const& c) { tokens_to_map(c, tokens, 6, 6); }},
      {"select_tokens", [=](C const& c) { select_tokens(c, tokens, index); }},
      {"gather_rows", [=](C const& c) { gather_rows(c, tokens, index); }},
      {"permute",
       [=](C const& c) {
         permute(c, x, {0, 3, 1, 2});
       }},
      {"argmax", [=](C const& c) { argmax(c, m); }},
      {"update_argmax", [=](C const& c) { update_argmax(c, m, 0, best, labels); }},
      {"resize_bilinear_argmax", [=](C const& c) { resize_bilinear_argmax(c, maps, 4, 4, 0, best, labels); }},
      {"attention_in_regions", [=](C const& c) { attention_in_regions(c, s, s, s, 4, regions); }},
      {"norm_linear",
       [=](C const& c) {
         norm_linear(c, m, NormParameters{v, v}, std::array{widen(), widen()});
       }},
      {"norm_attention",
       [=](C const& c) {
         norm_attention(c, copy_of(c, s), NormParameters{v, v}, AttentionMaps<float>{same(), same(), same(), same()}, 4,
                        regions);
       }},
      {"norm_mlp",
       [=](C const& c) {
         norm_mlp(c, copy_of(c, m), NormParameters{v, v}, widen(), Activation::gelu, narrow());
       }},
      {"window_block",
       [=](C const& c) {
         NormParameters const norms{v, v};
         window_block(c, copy_of(c, x),
                      WindowBlock<std::remove_const_t<decltype(norms)>, float>{
                          norms, {same(), same(), same(), same()}, 4, norms, widen(), Activation::gelu, narrow()},
                      3, 1);
       }},
      {"conv2d_norm_relu",
       [=](C const& c) {
         apply_scaling(c, conv2d_norm_relu(c, ScaledMap<Kokkos::HostSpace>{x, {}}, w, norm));
       }},
      {"upsample_conv2d_norm_relu",
       [=](C const& c) {
         apply_scaling(c, upsample_conv2d_norm_relu(c, {x, {}}, raised, {}, norm));
       }},
      {"row_maximum", [=](C const& c) { row_maximum(c, m); }},
  };
}
}  // namespace

TEST_CASE(
    "names, allocations and fences of every kernel are ours; a second call allocates nothing and repeats the first") {
  for (Engine engine : engines()) {
    INFO("engine ", name_of(engine));
    for (auto const& kernel : all_kernels()) {
      auto const& name = kernel.first;
      auto const& run = kernel.second;
      CAPTURE(name);
      Context<Exec> const context(Exec(), engine);
      ToolsProbe probe;
      run(context);
      CHECK(probe.kernels.size() + probe.fences.size() > 0);  // small tasks of the host engine only fence
      CHECK(ToolsProbe::foreign(probe.kernels) == Names{});
      CHECK(ToolsProbe::foreign(probe.allocations) == Names{});
      CHECK(ToolsProbe::foreign(probe.fences) == Names{});
      CHECK(probe.copies == Names{});
      CHECK(probe.allocations.size() == context.workspace().allocations());
      auto const kernels = probe.kernels;
      auto const allocations = context.workspace().allocations();
      probe.clear();
      run(context);
      CHECK(probe.allocations == Names{});
      CHECK(context.workspace().allocations() == allocations);
      CHECK(probe.kernels == kernels);
    }
  }
}

TEST_CASE("the probe hears what is not ours") {
  ToolsProbe probe;
  Kokkos::parallel_for("somebody", Kokkos::RangePolicy<Exec>(0, 1), [](int) {});
  Kokkos::View<int*, Kokkos::HostSpace> const view("theirs", 3);
  Kokkos::View<int*, Kokkos::HostSpace> const other("kovos::mine", 3);
  Kokkos::deep_copy(view, other);
  CHECK(ToolsProbe::foreign(probe.kernels).front() == "somebody");
  CHECK(ToolsProbe::foreign(probe.allocations) == Names{"theirs"});
  CHECK(probe.copies.size() == 1);
  CHECK(!probe.fences.empty());
}

TEST_CASE("a copy of a context shares its workspace, another context does not") {
  Context<Exec> const first, copy = first, other;
  auto const x = random_tensor<float>(1, 1, 20, 16);
  softmax(first, x);
  softmax(copy, x);
  CHECK(first.workspace().allocations() == 1);
  CHECK(&first.workspace() == &copy.workspace());
  CHECK(other.workspace().allocations() == 0);
}

TEST_CASE("tensors outlive the context whose workspace they came from") {
  DynamicTensor<float, 2> y;
  auto const x = random_tensor<float>(1, 1, 20, 16);
  {
    Context<Exec> const context;
    y = l2_normalize(context, x);
    context.fence();
  }
  double square = 0;
  for (std::size_t i = 0; i < 16; ++i) square += static_cast<double>(y(19, i)) * static_cast<double>(y(19, i));
  CHECK(square == doctest::Approx(1).epsilon(1e-6));
}
