// SPDX-License-Identifier: Apache-2.0
// Writes a small CAT-Seg model with seeded random weights and a vocabulary of its own: everything runs, nothing is
// known.
//   make_demo_model MODEL.safetensors MERGES.txt [CLIP.safetensors]
// CLIP.safetensors gets the model's CLIP alone, under OpenAI's names.

#include <cmath>
#include <cstdio>
#include <exception>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "kovos/io/file.hpp"
#include "kovos/io/safetensors.hpp"
#include "kovos/segmentation/cat_seg_network.hpp"

namespace {

/// 510 merges: every pair of small letters that come first, plain and at the end of a word.
std::string merges_text() {
  std::string text = "#version: 0.2\n";
  std::size_t count = 0;
  std::string const letters = "etaoinshrdlucmfwypvbgk";
  for (char const a : letters)
    for (char const b : letters)
      for (char const* end : {"", "</w>"})
        if (count < 510) {
          text += std::string(1, a) + " " + std::string(1, b) + end + "\n";
          ++count;
        }
  return text;
}

}  // namespace

int main(int count, char** arguments) try {
  if (count != 3 && count != 4) {
    std::fprintf(stderr, "usage: make_demo_model MODEL.safetensors MERGES.txt [CLIP.safetensors]\n");
    return 2;
  }
  kovos::CatSegNetwork<kovos::cat_seg_tiny, float, Kokkos::HostSpace> network;
  kovos::NamedTensors file;
  std::mt19937 generator(20240607);
  for (auto const& parameter : kovos::parameters_of(network)) {
    auto const& name = parameter.name();
    std::vector<std::size_t> const shape(parameter.shape().begin(), parameter.shape().end());
    std::size_t const size = parameter.size();
    auto values = std::make_shared<std::vector<float>>(size);
    bool const gain = shape.size() == 1 && name.ends_with("weight");
    float const spread = shape.size() < 2 ? 0.1f : 1.0f / std::sqrt(static_cast<float>(size / shape[0]));
    std::normal_distribution<float> normal(gain ? 1.0f : 0.0f, spread);
    for (auto& value : *values) value = normal(generator);
    kovos::TensorBytes bytes;
    bytes.shape = shape;
    bytes.bytes = std::as_bytes(std::span(*values));
    bytes.owner = values;
    file.tensors.emplace(name, bytes);
  }
  file.metadata["note"] = "random weights for demonstrations; they know nothing";
  kovos::write_safetensors(arguments[1], file);
  kovos::write_file_atomically(arguments[2], [](std::ostream& out) { out << merges_text(); });
  if (count == 4) {
    std::string const prefix = "sem_seg_head.predictor.clip_model.";
    kovos::NamedTensors clip;
    for (auto const& [name, tensor] : file.tensors)
      if (name.starts_with(prefix)) clip.tensors.emplace(name.substr(prefix.size()), tensor);
    kovos::write_safetensors(arguments[3], clip);
  }
  return 0;
} catch (std::exception const& error) {
  std::fprintf(stderr, "make_demo_model: %s\n", error.what());
  return 1;
}
