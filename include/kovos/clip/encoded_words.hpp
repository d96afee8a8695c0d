// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/reduction.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/grouped_reduction.hpp"
#include "kovos/kernels/normalization.hpp"

namespace kovos {

/// Words as a model sees them: rows of unit vectors, each owned by a class, and what the scores of a class's rows
/// become.
///
/// One row per class is the simplest case; CAT-Seg's rows are means over the class's words, with a vector per prompt
/// template. FC-CLIP has a row per word, takes the maximum, and has a void row for what is none of the words.
template <class Memory>
struct EncodedWords {
  std::vector<std::string> names;            // [K], of the classes
  DynamicTensor<float, 3, Memory> features;  // [N, P, embed_dim], P vectors per row; the void row is the last
  std::vector<std::int32_t> owner{};         // [N] without the void row, ascending; empty: row n is class n
  Reduction reduction = Reduction::mean;
  bool has_void = false;

  std::size_t classes() const { return names.size(); }
  std::size_t rows() const { return features.empty() ? 0 : features.extent(0); }
};

/// The class of every row, and K for the void row; ascending. Throws ShapeError if a class has no row, or if there are
/// more or fewer rows than owners.
template <class Memory>
std::vector<std::int32_t> row_owners(EncodedWords<Memory> const& words) {
  std::vector<std::int32_t> owner = words.owner;
  if (owner.empty())
    for (std::size_t k = 0; k < words.classes(); ++k) owner.push_back(static_cast<std::int32_t>(k));
  std::int32_t next = 0;
  for (std::int32_t const k : owner) {
    require<ShapeError>(k == next || (next > 0 && k == next - 1), "[EncodedWords] a row of class ", k,
                        " follows one of class ", next - 1, "; rows come class by class, at least one for each");
    next = k + 1;
  }
  require_extent("EncodedWords", "the number of classes with rows", static_cast<std::size_t>(next), words.classes());
  if (words.has_void) owner.push_back(next);
  require_extent("EncodedWords", "the number of rows", words.rows(), owner.size());
  return owner;
}

/// Whether there is one row per class and no other.
template <class Memory>
bool one_row_per_class(EncodedWords<Memory> const& words) {
  return !words.has_void && words.rows() == words.classes();
}

/// Throws ShapeError naming `model` unless there is one row per class and no other.
template <class Memory>
void require_one_row_per_class(EncodedWords<Memory> const& words, std::string_view model) {
  require<ShapeError>(one_row_per_class(words), "[", model, "] these words have ", words.rows(), " rows for ",
                      words.classes(), " classes", words.has_void ? " and void" : "",
                      ", but this model takes one row per class; encode the words with it");
}

/// The same words with a row for what is none of them: row, made unit vectors, comes last. A learned vector (FC-CLIP)
/// or the features of a word such as "background". row: [P, embed_dim]. Throws ShapeError if the extents disagree or if
/// there is a void row already.
template <class Exec>
EncodedWords<typename Exec::memory_space> with_void_row(
    Context<Exec> const& context, EncodedWords<typename Exec::memory_space> const& words,
    DynamicTensor<float, 2, typename Exec::memory_space> const& row) {
  require<ShapeError>(!words.has_void, "[with_void_row] the words have a void row already");
  std::size_t const rows = words.rows(), vectors = words.features.extent(1), width = words.features.extent(2);
  require_extent("with_void_row", "row.extent(0)", row.extent(0), vectors);
  require_extent("with_void_row", "row.extent(1)", row.extent(1), width);
  auto result = words;
  result.features = context.template tensor<float>(rows + 1, vectors, width);
  result.has_void = true;
  assign(context, result.features.slice(0, rows), words.features);
  assign(context, result.features.slice(rows, 1),
         l2_normalize(context, row).reshape(dynamic_extents<3>(1, vectors, width)));
  return result;
}

/// Scores of classes from the scores of rows: of each class the mean or the maximum over its rows, and void, if there
/// is such a row, last. scores: [M, rows] -> [M, K] or [M, K + 1]. Throws ShapeError if the numbers disagree.
template <class Exec>
DynamicTensor<float, 2, typename Exec::memory_space> class_scores(
    Context<Exec> const& context, DynamicTensor<float, 2, typename Exec::memory_space> const& scores,
    EncodedWords<typename Exec::memory_space> const& words) {
  auto const owner = row_owners(words);
  require_extent("class_scores", "scores.extent(1)", scores.extent(1), owner.size());
  if (one_row_per_class(words)) return scores;
  return reduce_groups(context, scores, std::span<std::int32_t const>(owner), words.reduction);
}

}  // namespace kovos
