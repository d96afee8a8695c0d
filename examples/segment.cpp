// SPDX-License-Identifier: Apache-2.0
// Segment a picture in ten lines: segment WEIGHTS PICTURE OVERLAY.png

#include <cstdio>
#include <kovos/kovos.hpp>

int main(int, char** arguments) try {
  kovos::Runtime runtime;
  auto const model = kovos::CatSeg<kovos::cat_seg_vit_b16>::load(arguments[1]);
  auto const words = model.encode({"sky", "grass", "house"});
  auto const picture = kovos::read_image(arguments[2]);
  auto const result = model.segment(picture, words);
  kovos::write_overlay(arguments[3], picture, result.labels, result.names);
} catch (kovos::Error const& error) {
  return std::puts(error.what()), 1;
}
