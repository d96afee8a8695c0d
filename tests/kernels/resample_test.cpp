// SPDX-License-Identifier: Apache-2.0
#include "kovos/kernels/resample.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "kovos/io/safetensors.hpp"
#include "kovos/kernels/crop.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/transpose.hpp"
#include "kovos/kernels/window.hpp"
#include "kovos/kernels/window_blending.hpp"
#include "support/reference.hpp"
#include "support/spaces.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {

using Numbers = std::vector<std::size_t>;

/// A tensor of a file as [N, C, H, W] turned to channels-last.
template <class Exec>
DynamicTensor<float, 4, typename Exec::memory_space> channels_last(Context<Exec> const& context,
                                                                   TensorBytes const& tensor) {
  auto numbers = to_float(tensor);
  auto const& s = tensor.shape;
  DynamicTensor<float, 4> const x(numbers.data(), {s[0], s[1], s[2], s[3]}, nullptr);
  auto const y = permute(context, on(context, x), {0, 2, 3, 1});
  context.fence();
  return y;
}

Values values_of(TensorBytes const& tensor) {
  auto const numbers = to_float(tensor);
  return Values(numbers.begin(), numbers.end());
}

/// Every recorded interpolation of the file; returns how many there were.
std::size_t check_recorded(std::string const& path) {
  auto const file = read_safetensors(path);
  std::size_t count = 0;
  for (auto const& entry : file.tensors) {
    auto const& name = entry.first;
    auto const& input = entry.second;
    if (!name.ends_with(".in")) continue;
    bool const corners = name.starts_with("corners."), cubic = name.starts_with("bicubic.");
    if (!corners && !cubic && !name.starts_with("bilinear.")) continue;
    auto const& output = file.tensors.at(name.substr(0, name.size() - 3) + ".out");
    ++count;
    CAPTURE(name);
    for_each_context([&](auto const& context) {
      auto const x = channels_last(context, input);
      auto const y = cubic ? resize_bicubic(context, x, output.shape[2], output.shape[3])
                           : resize_bilinear(context, x, output.shape[2], output.shape[3],
                                             corners ? Alignment::corners : Alignment::half_pixel);
      auto const back = permute(context, y, {0, 3, 1, 2});
      context.fence();
      // Linear weights round as the authors' do, so that only the sums differ; cubic ones have more roundings.
      Values const expected = values_of(output);
      CHECK(close(values(back), expected, (cubic ? 32 : 6) * unit * std::max(1.0, largest(expected))));
    });
  }
  return count;
}

}  // namespace

TEST_CASE("bilinear and bicubic interpolation equal the recorded numbers") {
  CHECK(check_recorded(std::string(KOVOS_TEST_DATA) + "/oracle/resample.safetensors") == 22);
  std::string const more = std::string(KOVOS_SHARED_DIR) + "/oracle/data/preproc/interpolate.safetensors";
  if (std::filesystem::exists(more)) CHECK(check_recorded(more) > 22);
  else MESSAGE("skipped: no acceptance data at " << more);
}

TEST_CASE("interpolation agrees with its formula in double") {
  struct Case {
    reference::Map map;
    std::size_t height, width;
  };
  std::vector<Case> const cases{{{1, 1, 1, 1}, 5, 7},     {{2, 5, 3, 3}, 1, 1},  {{1, 7, 9, 2}, 20, 4},
                                {{1, 24, 24, 5}, 14, 31}, {{2, 2, 3, 17}, 3, 2}, {{1, 10, 1, 1}, 3, 6}};
  for_each_context([&](auto const& context) {
    for (auto const& c : cases) {
      auto const& m = c.map;
      std::size_t const height = c.height, width = c.width;
      auto const x = random_tensor<float>(context, 1, 2, m.n, m.height, m.width, m.channels);
      CAPTURE(m.height);
      CAPTURE(height);
      auto const half = resize_bilinear(context, x, height, width);
      auto const corners = resize_bilinear(context, x, height, width, Alignment::corners);
      auto const cubic = resize_bicubic(context, x, height, width);
      context.fence();
      CHECK(shape(half) == Numbers{m.n, height, width, m.channels});
      auto const expected = reference::resize_bilinear(m, values(x), height, width, Alignment::half_pixel);
      auto const expected_corners = reference::resize_bilinear(m, values(x), height, width, Alignment::corners);
      auto const expected_cubic = reference::resize_bicubic(m, values(x), height, width);
      CHECK(close(values(half), expected));
      CHECK(close(values(corners), expected_corners));
      CHECK(close(values(cubic), expected_cubic));
      if (m.height * m.width == 1 || height * width == 1) continue;  // constant, or the very centre
      CHECK_FALSE(close(values(half), expected_corners.value, expected.bound));
      // Another cubic: a = -0.5, as Pillow's.
      CHECK_FALSE(close(values(cubic), reference::resize_bicubic(m, values(x), height, width, -0.5).value,
                        expected_cubic.bound));
    }
    auto const x = random_tensor<float>(context, 1, 1, 1, 3, 4, 2);
    CHECK(resize_bilinear(context, x, 3, 4).data() == x.data());
  });
}

TEST_CASE("windows are cut from the rolled map and put back") {
  struct Case {
    reference::Map map;
    std::size_t window, shift;
  };
  for_each_context([&](auto const& context) {
    for (auto const& c : std::vector<Case>{{{1, 4, 4, 1}, 2, 0},
                                           {{2, 6, 9, 5}, 3, 1},
                                           {{1, 4, 8, 3}, 4, 2},
                                           {{1, 5, 5, 7}, 5, 4},
                                           {{3, 2, 2, 2}, 1, 0}}) {
      auto const& m = c.map;
      std::size_t const window = c.window, shift = c.shift;
      auto const x = random_tensor<float>(context, 1, 1, m.n, m.height, m.width, m.channels);
      auto const w = window_partition(context, x, window, shift);
      auto const back = window_reverse(context, w, m.n, m.height, m.width, window, shift);
      context.fence();
      CHECK(shape(w) == Numbers{m.n * m.height * m.width / window / window, window * window, m.channels});
      CHECK(values(w) == reference::window_partition(m, values(x), window, shift));
      CHECK(values(back) == values(x));
      if (shift > 0) CHECK(values(w) != reference::window_partition(m, values(x), window, 0));
    }
  });
}

TEST_CASE("window_regions gives the mask that the authors store in their checkpoints") {
  auto const weights = read_safetensors(std::string(KOVOS_TEST_DATA) + "/oracle/weights.safetensors");
  auto const& mask = weights.tensors.at("sem_seg_head.predictor.transformer.layers.0.swin_block.block_2.attn_mask");
  REQUIRE(mask.shape == Numbers{4, 9, 9});  // a 6 x 6 map, windows of 3, shift 1
  auto const recorded = values_of(mask);
  for_each_context([&](auto const& context) {
    auto const regions = window_regions(context, 6, 6, 3, 1), wrong = window_regions(context, 6, 6, 3, 2);
    context.fence();
    auto const mask_of = [](auto const& tensor) {
      auto const r = on_host(tensor);
      Values all;
      for (std::size_t w = 0; w < 4; ++w)
        for (std::size_t i = 0; i < 9; ++i)
          for (std::size_t j = 0; j < 9; ++j) all.push_back(r(w, i) == r(w, j) ? 0.0 : -100.0);
      return all;
    };
    CHECK(mask_of(regions) == recorded);
    CHECK(mask_of(wrong) != recorded);
    // Without a shift nothing is separated inside a window.
    for (std::size_t shift : {0u, 1u, 3u}) {
      auto const numbers = window_regions(context, 8, 12, 4, shift);
      context.fence();
      auto const r = on_host(numbers);
      auto const image = reference::swin_regions(8, 12, 4, shift);
      for (std::size_t y = 0; y < 8; ++y)
        for (std::size_t x = 0; x < 12; ++x) CHECK(int{r(y / 4 * 3 + x / 4, y % 4 * 4 + x % 4)} == image[y * 12 + x]);
    }
  });
}

TEST_CASE("crop reads zeros outside the map") {
  for_each_context([](auto const& context) {
    auto const x = random_tensor<float>(1, 1, 2, 4, 5, 3);
    auto const cut = crop(context, on(context, x), 1, 2, 4, 6);
    context.fence();
    auto const y = on_host(cut);
    CHECK(shape(y) == Numbers{2, 4, 6, 3});
    for (std::size_t n = 0; n < 2; ++n)
      for (std::size_t i = 0; i < 4; ++i)
        for (std::size_t j = 0; j < 6; ++j)
          for (std::size_t c = 0; c < 3; ++c)
            CHECK(y(n, i, j, c) == (i + 1 < 4 && j + 2 < 5 ? x(n, i + 1, j + 2, c) : 0.0f));
  });
}

TEST_CASE("overlapping windows are cut, summed and counted as recorded") {
  auto const file = read_safetensors(std::string(KOVOS_TEST_DATA) + "/oracle/resample.safetensors");
  struct Case {
    std::size_t extent, window, stride;
  };
  for (auto const& c :
       {Case{20, 12, 8}, Case{27, 16, 10}, Case{160, 96, 64}, Case{213, 128, 85}, Case{640, 384, 256}}) {
    std::string const name = std::to_string(c.extent) + "_" + std::to_string(c.window) + "_" + std::to_string(c.stride);
    auto const cover = values_of(file.tensors.at("cover." + name));
    for (std::size_t i = 0; i < c.extent; ++i) {
      CAPTURE(name);
      CAPTURE(i);
      CHECK(static_cast<double>(window_coverage(i, c.extent, c.window, c.stride)) == cover[i]);
    }
    if (c.extent > 100) continue;
    auto const in = file.tensors.at("windows." + name + ".in");  // [C, H, W]
    auto const out = values_of(file.tensors.at("windows." + name + ".out"));
    auto const merged = values_of(file.tensors.at("windows." + name + ".merged_sum"));
    for_each_context([&](auto const& context) {
      TensorBytes map = in;
      map.shape.insert(map.shape.begin(), 1);
      auto const x = channels_last(context, map);
      auto const sum = context.template tensor<float>(1, c.extent, c.extent, in.shape[0]);
      fill(context, sum, 0.0f);
      Values windows;
      for (std::size_t top = 0; top + c.window <= c.extent; top += c.stride)
        for (std::size_t left = 0; left + c.window <= c.extent; left += c.stride) {
          auto const window = crop(context, x, top, left, c.window, c.window);
          add_window(context, sum, window, top, left);
          auto const list = values(permute(context, window, {0, 3, 1, 2}));
          windows.insert(windows.end(), list.begin(), list.end());
        }
      context.fence();
      CHECK(windows == out);
      CHECK(close(values(permute(context, sum, {0, 3, 1, 2})), merged, 4 * unit * largest(merged)));
    });
  }
}

TEST_CASE("blend_windows_with_global averages the windows, then both views") {
  for_each_context([](auto const& context) {
    auto const x = random_tensor<float>(context, 1, 1, 1, 8, 8, 2), y = random_tensor<float>(context, 2, 1, 1, 8, 8, 2);
    Values const before = values(x), other = values(y);
    blend_windows_with_global(context, x, y, 5, 3);  // windows at 0 and 3: positions 3 and 4 are seen twice
    context.fence();
    Values expected;
    for (std::size_t i = 0; i < 8; ++i)
      for (std::size_t j = 0; j < 8; ++j)
        for (std::size_t c = 0; c < 2; ++c) {
          double const count = (i == 3 || i == 4 ? 2 : 1) * (j == 3 || j == 4 ? 2 : 1);
          expected.push_back((before[(i * 8 + j) * 2 + c] / count + other[(i * 8 + j) * 2 + c]) / 2);
        }
    CHECK(close(values(x), expected, 3 * unit));
  });
}

TEST_CASE("resampling and windows name what does not fit") {
  Context<Kokkos::DefaultHostExecutionSpace> const context;
  auto const x = random_tensor<float>(1, 1, 1, 4, 6, 2), empty = random_tensor<float>(1, 1, 1, 0, 6, 2);
  CHECK(message_of<ShapeError>([&] { resize_bilinear(context, x, 0, 3); }) ==
        "[resize_bilinear] cannot resample 4 x 6 to 0 x 3");
  CHECK(message_of<ShapeError>([&] { resize_bilinear(context, empty, 2, 3); }) ==
        "[resize_bilinear] cannot resample 0 x 6 to 2 x 3");
  CHECK(message_of<ShapeError>([&] { resize_bicubic(context, x, 5, 0); }) ==
        "[resize_bicubic] cannot resample 4 x 6 to 5 x 0");
  CHECK(message_of<ShapeError>([&] { window_partition(context, x, 4, 0); }) ==
        "[window_partition] windows of 4 pixels do not tile a map of 4 x 6");
  CHECK(message_of<ShapeError>([&] { window_partition(context, x, 2, 2); }) ==
        "[window_partition] shift 2 must be smaller than the window 2");
  CHECK(message_of<ShapeError>([&] { window_regions(context, 4, 6, 5, 0); }) ==
        "[window_regions] windows of 5 pixels do not tile a map of 4 x 6");
  auto const w = random_tensor<float>(1, 1, 6, 4, 2);
  auto const reverse = [&](std::size_t n, std::size_t height, std::size_t window) {
    return message_of<ShapeError>([&] { window_reverse(context, w, n, height, 6, window); });
  };
  CHECK(reverse(2, 4, 2) == "[window_reverse] x.extent(0) is 6, expected 12");
  CHECK(reverse(6, 3, 3) == "[window_reverse] x.extent(0) is 6, expected 12");
  CHECK(reverse(3, 6, 3) == "[window_reverse] x.extent(0) is 6, expected 12");
  CHECK(reverse(1, 18, 3).starts_with("[window_reverse] x.extent(0) is 6, expected 12"));
  CHECK(reverse(1, 9, 3) == "[window_reverse] x.extent(1) is 4, expected 9");
  CHECK(reverse(1, 5, 2) == "[window_reverse] windows of 2 pixels do not tile a map of 5 x 6");
  auto const add = [&](auto const& window, std::size_t top, std::size_t left) {
    return message_of<ShapeError>([&] { add_window(context, x, window, top, left); });
  };
  CHECK(add(random_tensor<float>(1, 1, 2, 2, 2, 2), 0, 0) == "[add_window] window.extent(0) is 2, expected 1");
  CHECK(add(random_tensor<float>(1, 1, 1, 2, 2, 3), 0, 0) == "[add_window] window.extent(3) is 3, expected 2");
  CHECK(add(random_tensor<float>(1, 1, 1, 2, 2, 2), 3, 0) ==
        "[add_window] a window of 2 x 2 at (3, 0) leaves a canvas of 4 x 6");
  CHECK(add(random_tensor<float>(1, 1, 1, 2, 2, 2), 0, 5) ==
        "[add_window] a window of 2 x 2 at (0, 5) leaves a canvas of 4 x 6");
  CHECK(message_of<ShapeError>([&] { blend_windows_with_global(context, x, empty, 2, 1); }) ==
        "[blend_windows_with_global] x is [1, 4, 6, 2], y is [1, 0, 6, 2]");
  for (auto const& c : {std::pair<std::size_t, std::size_t>{5, 1}, {2, 0}}) {
    std::size_t const window = c.first, stride = c.second;
    CHECK(message_of<ShapeError>([&] { blend_windows_with_global(context, x, x, window, stride); }) ==
          "[blend_windows_with_global] windows of " + std::to_string(window) + " pixels every " +
              std::to_string(stride) + " do not fit 4 x 6");
  }
}
