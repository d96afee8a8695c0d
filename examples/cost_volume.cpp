// SPDX-License-Identifier: Apache-2.0
// Only the cost volume: how similar is each place of a picture to a word, before anything is aggregated?
//   cost_volume WEIGHTS PICTURE WORDS OUTPUT_FOLDER [VOCABULARY]
// writes OUTPUT_FOLDER/<word>.png, black (least similar of this picture) to white (most similar).

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <optional>
#include <vector>

#include "kovos/io/image.hpp"
#include "kovos/kovos.hpp"
#include "kovos/segmentation/any_model.hpp"
#include "kovos/segmentation/cost_volume.hpp"

namespace {

template <kovos::CatSegConfig Config>
void draw(char** arguments, std::optional<std::filesystem::path> const& vocabulary) {
  using namespace kovos;
  auto const model = CatSeg<Config>::load(arguments[1], vocabulary);
  auto const& context = model.context();
  auto const picture = read_image(arguments[2]);
  auto const words = model.encode(parse_classes(arguments[3]));

  auto const views =
      cut_views(context, image_tensor(context, picture), WindowMode::whole, Config.test, Config.clip_resolution);
  auto const features = model.network().image_features(context, views.pixels, words.features);
  auto const cost = cost_volume(context, features.dense, words.features);  // [T, S, S, 1]
  auto const large = to_host(context, resize_bilinear(context, cost, picture.height, picture.width));

  std::filesystem::create_directories(arguments[4]);
  for (std::size_t t = 0; t < words.names.size(); ++t) {
    float const* const map = large.data() + t * picture.height * picture.width;
    auto const [low, high] = std::minmax_element(map, map + picture.height * picture.width);
    Image heat{picture.height, picture.width, std::vector<std::uint8_t>(picture.pixels.size())};
    for (std::size_t i = 0; i < picture.height * picture.width; ++i)
      std::fill_n(heat.pixels.data() + 3 * i, 3,
                  static_cast<std::uint8_t>(255 * (map[i] - *low) / std::max(*high - *low, 1e-6f)));
    auto const path = std::filesystem::path(arguments[4]) / (words.names[t] + ".png");
    write_png(path, heat);
    std::printf("%s: cosine %.3f to %.3f\n", path.c_str(), static_cast<double>(*low), static_cast<double>(*high));
  }
}

}  // namespace

int main(int count, char** arguments) try {
  if (count != 5 && count != 6) {
    std::fprintf(stderr, "usage: cost_volume WEIGHTS PICTURE WORDS OUTPUT_FOLDER [VOCABULARY]\n");
    return 2;
  }
  kovos::Runtime runtime;
  std::optional<std::filesystem::path> vocabulary;
  if (count == 6) vocabulary = arguments[5];
  auto const shape = kovos::cat_seg_shape(kovos::with_canonical_names(kovos::read_checkpoint(arguments[1])));
  if (shape == shape_of(kovos::cat_seg_tiny)) draw<kovos::cat_seg_tiny>(arguments, vocabulary);
  else draw<kovos::cat_seg_vit_b16>(arguments, vocabulary);
  return 0;
} catch (std::exception const& error) {
  std::fprintf(stderr, "cost_volume: %s\n", error.what());
  return 1;
}
