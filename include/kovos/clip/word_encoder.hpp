// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kovos/clip/embedding_cache.hpp"
#include "kovos/clip/encoded_words.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/hash.hpp"
#include "kovos/core/observer.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/gather.hpp"
#include "kovos/kernels/normalization.hpp"
#include "kovos/nn/parameter.hpp"
#include "kovos/text/prompt_rows.hpp"
#include "kovos/text/prompt_template.hpp"
#include "kovos/text/tokenizer.hpp"
#include "kovos/text/word_list.hpp"

namespace kovos {

/// Fingerprint of a text encoder's parameters. Host memory only.
template <class TextEncoder>
Fingerprint fingerprint_of(TextEncoder const& encoder) {
  Fingerprint print;
  for (auto const& parameter : parameters_of(encoder)) {
    print.add(parameter.name());
    print.add(std::span(static_cast<std::byte const*>(parameter.data()), parameter.size_in_bytes()));
  }
  return print;
}

/// Rows of text features: the unit vectors of the prompts i with owner[i] = r, averaged and made a unit vector again,
/// are row r; a row of one prompt is that prompt. owner ascends, and every row below `rows` has a prompt. Prompts of
/// 256 at a time bound the memory. -> [rows, embed_dim]. Throws TextError for a prompt longer than the context.
template <class Exec, class TextEncoder, class Observer = Unobserved>
DynamicTensor<float, 2, typename Exec::memory_space> encode_rows(Context<Exec> const& context,
                                                                 TextEncoder const& encoder,
                                                                 std::vector<std::vector<std::int32_t>> const& prompts,
                                                                 std::vector<std::int32_t> const& owner,
                                                                 std::size_t rows, Observer const& observe = {}) {
  auto const width = encoder.text_projection.extent(1);
  auto const features = context.template tensor<float>(prompts.size(), width);
  for (std::size_t first = 0; first < prompts.size(); first += 256) {
    std::size_t const count = std::min<std::size_t>(256, prompts.size() - first);
    assign(context, features.slice(first, count),
           l2_normalize(context, encoder.encode(context, std::span(prompts).subspan(first, count), observe)));
  }
  if (prompts.size() == rows) return features;
  auto const host = to_host(context, features);
  Tensor<float, dynamic_extents<2>> sums(dynamic_extents<2>(rows, width));
  std::fill_n(sums.data(), sums.size(), 0.0f);
  std::vector<float> count(rows, 0.0f);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    auto const row = static_cast<std::size_t>(owner[i]);
    count[row] += 1;
    for (std::size_t d = 0; d < width; ++d) sums(row, d) += host(i, d);
  }
  for (std::size_t row = 0; row < rows; ++row)
    for (std::size_t d = 0; d < width; ++d) sums(row, d) /= count[row];
  return l2_normalize(context, to_device(context, sums));
}

/// Encodes every word of every class under every template and averages the unit vectors to rows, made unit vectors
/// again (encode_rows): by default one row per class with a vector per template, the mean over the class's words.
/// print: fingerprint_of(encoder), if it is known, so that words in the cache need none of the encoder's weights.
/// Throws TextError for an empty list, a class without words, or a prompt longer than the context.
template <class Exec, class TextEncoder>
EncodedWords<typename Exec::memory_space> encode_words(Context<Exec> const& context, TextEncoder const& encoder,
                                                       Tokenizer const& tokenizer, ClassList const& classes,
                                                       PromptTemplates const& templates, EmbeddingCache const& cache,
                                                       std::optional<Fingerprint> const& print = {},
                                                       RowOptions const& options = {}) {
  using Memory = typename Exec::memory_space;
  require<TextError>(!classes.empty(), "[encode_words] the list of classes is empty");
  auto const plan = prompt_rows(classes, templates, options);
  EncodedWords<Memory> result;
  result.names = plan.names;
  result.owner = plan.owner;
  result.reduction = options.words;
  std::vector<std::vector<std::int32_t>> prompts;
  for (auto const& prompt : plan.prompts)
    prompts.push_back(tokenizer.encode_prompt(prompt, TextEncoder::config.context_length));

  dynamic_extents<3> const extents(plan.rows(), plan.vectors_per_row, encoder.text_projection.extent(1));
  Fingerprint key;
  if constexpr (is_host_execution<Exec>) {
    key = print ? *print : fingerprint_of(encoder);
    // What the same weights can be run with.
    key.add("heads " + std::to_string(TextEncoder::config.heads) + ", activation " +
            std::to_string(static_cast<int>(encoder.activation)));
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      key.add(std::as_bytes(std::span(prompts[i])));
      key.add(std::as_bytes(std::span(&plan.vector_of[i], 1)));
    }
    if (auto const stored = cache.find(key, extents)) {
      result.features = to_device(context, *stored);
      return result;
    }
  }
  result.features =
      encode_rows(context, encoder, prompts, plan.vector_of, plan.rows() * plan.vectors_per_row).reshape(extents);
  if constexpr (is_host_execution<Exec>) cache.store(key, to_host(context, result.features));
  return result;
}

}  // namespace kovos
