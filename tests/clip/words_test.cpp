// SPDX-License-Identifier: Apache-2.0
// Words as rows with owners, compared with FC-CLIP's recorded text rows and class logits (tests/data/masks).

#include <doctest/doctest.h>
#include <unistd.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "kovos/clip/config.hpp"
#include "kovos/clip/encoded_words.hpp"
#include "kovos/clip/word_encoder.hpp"
#include "kovos/io/safetensors.hpp"
#include "kovos/io/tensor_bytes.hpp"
#include "kovos/kernels/cosine_similarity.hpp"
#include "support/approx.hpp"
#include "support/spaces.hpp"

namespace {

using namespace kovos;
using test::close;
using test::message_of;
using Memory = Context<>::memory_space;
using Prompt = std::vector<std::int32_t>;

NamedTensors const& recorded() {
  static NamedTensors const file = read_safetensors(std::string(KOVOS_TEST_DATA) + "/masks/words.safetensors");
  return file;
}

DynamicTensor<float, 2> matrix(std::string const& name) {
  auto const& tensor = recorded().tensors.at(name);
  std::size_t const columns = tensor.shape.back();
  auto const numbers = to_float(tensor);
  DynamicTensor<float, 2> result(dynamic_extents<2>(numbers.size() / columns, columns));
  std::copy(numbers.begin(), numbers.end(), result.data());
  return result;
}

/// Stands for a text encoder: knows the recorded features of prompts by their tokens.
struct RecordedEncoder {
  static constexpr TextConfig config{.context_length = 77, .vocabulary_size = 515, .width = 8, .layers = 1, .heads = 1};
  DynamicTensor<float, 2> text_projection{dynamic_extents<2>(1, 24)};
  int activation = 0;
  std::map<Prompt, std::size_t> row_of;
  DynamicTensor<float, 2> rows = matrix("text.template_rows");

  template <class Exec, class Observer>
  auto encode(Context<Exec> const& context, std::span<Prompt const> prompts, Observer const&) const {
    DynamicTensor<float, 2> const result(dynamic_extents<2>(prompts.size(), rows.extent(1)));
    for (std::size_t i = 0; i < prompts.size(); ++i)
      std::copy_n(rows.data() + row_of.at(prompts[i]) * rows.extent(1), rows.extent(1),
                  result.data() + i * rows.extent(1));
    return to_device(context, result);
  }
  template <class F>
  void visit(F&, std::string const&) const {}
};

std::vector<std::string> const synonyms{"cat", "kitten",        "dog",  "grass",      "lawn",       "sky", "clouds",
                                        "fog", "traffic light", "wall", "wall brick", "brick wall", "tree"};

/// FC-CLIP's seven classes from a prompt file.
ClassList recorded_classes() {
  auto const path = std::filesystem::temp_directory_path() / ("kovos_words_" + std::to_string(::getpid()) + ".txt");
  std::ofstream(path) << "0:invalid_class_id\n1:cat,kitten\n2:dog\n3:grass, lawn\n4:sky,clouds,fog\n5:traffic light\n"
                         "6:wall,wall brick,brick wall\n7:tree\n";
  auto const classes = read_classes(path);
  std::filesystem::remove(path);
  return classes;
}

RecordedEncoder encoder_of(Tokenizer const& tokenizer) {
  RecordedEncoder encoder;
  for (auto const& synonym : synonyms)
    for (auto const& pattern : prompt_templates("fc_clip"))
      encoder.row_of.emplace(tokenizer.encode_prompt(fill(pattern, synonym), 77), encoder.row_of.size());
  REQUIRE(encoder.row_of.size() == encoder.rows.extent(0));
  return encoder;
}

constexpr RowOptions fc_clip_rows{Reduction::maximum, TemplateUse::mean};

template <class Exec = Kokkos::DefaultExecutionSpace>
EncodedWords<typename Exec::memory_space> made_words(std::vector<std::int32_t> owner, std::size_t classes,
                                                     bool has_void = false, Context<Exec> const& context = {}) {
  EncodedWords<typename Exec::memory_space> words;
  words.names.assign(classes, "word");
  words.features =
      test::random_tensor(context, 3, 1, owner.size() + (has_void ? 1 : 0), std::size_t{1}, std::size_t{4});
  words.owner = std::move(owner);
  words.has_void = has_void;
  return words;
}

}  // namespace

TEST_CASE("a prompt file of FC-CLIP gives its recorded rows, and void comes last") {
  Tokenizer const tokenizer(Vocabulary("a b\n"));
  auto const encoder = encoder_of(tokenizer);
  test::for_each_context([&](auto const& context) {
    auto const words = encode_words(context, encoder, tokenizer, recorded_classes(), prompt_templates("fc_clip"),
                                    EmbeddingCache(std::filesystem::path()), {}, fc_clip_rows);
    CHECK(words.names == std::vector<std::string>{"cat", "dog", "grass", "sky", "traffic light", "wall", "tree"});
    CHECK(words.owner == std::vector<std::int32_t>{0, 0, 1, 2, 2, 3, 3, 3, 4, 5, 5, 5, 6});
    CHECK(words.reduction == Reduction::maximum);
    CHECK(test::shape(words.features) == std::vector<std::size_t>{13, 1, 24});
    CHECK(close(test::values(words.features), test::values(matrix("text.rows")), 1e-6));
    auto const with_void = with_void_row(context, words, test::on(context, matrix("void")));
    CHECK(with_void.has_void);
    CHECK(row_owners(with_void).back() == 7);
    CHECK(close(test::values(with_void.features), test::values(matrix("text.rows_with_void")), 1e-6));
    CHECK_FALSE(one_row_per_class(with_void));
  });
}

TEST_CASE("the authors' tokens of the recorded prompts") {
  std::string const path = std::string(KOVOS_SHARED_DIR) + "/oracle/data/weights/bpe_510.txt";
  if (!std::filesystem::exists(path)) {
    MESSAGE("skipped: the small vocabulary is in the acceptance data only");
    return;
  }
  Tokenizer const tokenizer(Vocabulary::load(path));
  auto const rows = prompt_rows(recorded_classes(), prompt_templates("fc_clip"), fc_clip_rows);
  auto const& tensor = recorded().tensors.at("text.tokens");
  REQUIRE(tensor.shape == std::vector<std::size_t>{rows.prompts.size(), 77});
  auto const* const tokens = reinterpret_cast<std::int32_t const*>(tensor.bytes.data());
  for (std::size_t i = 0; i < rows.prompts.size(); ++i) {
    CAPTURE(rows.prompts[i]);
    auto const ours = tokenizer.encode_prompt(rows.prompts[i], 77);
    REQUIRE(ours.size() <= 77);
    for (std::size_t t = 0; t < 77; ++t) CHECK(tokens[i * 77 + t] == (t < ours.size() ? ours[t] : 0));
  }
}

TEST_CASE("class logits are the recorded maxima over the rows of a class") {
  test::for_each_context([](auto const& context) {
    auto const synonyms_per_class = to_float(recorded().tensors.at("decoder.synonyms_per_class"));
    std::vector<std::int32_t> owner;
    for (std::size_t k = 0; k < synonyms_per_class.size(); ++k)
      owner.insert(owner.end(), static_cast<std::size_t>(synonyms_per_class[k]), static_cast<std::int32_t>(k));
    auto words = made_words(owner, synonyms_per_class.size(), true, context);
    auto const rows = test::on(context, matrix("decoder.in.text_rows"));
    words.features = rows.reshape(dynamic_extents<3>(rows.extent(0), 1, rows.extent(1)));
    words.reduction = Reduction::maximum;
    auto const cosines =
        to_host(context, cosine_similarity(context, test::on(context, matrix("decoder.class_embed3")), rows));
    float const scale = std::exp(to_float(recorded().tensors.at("decoder.logit_scale"))[0]);
    auto const logits = test::on(context, test::changed(cosines, [&](std::size_t, float& x) { x *= scale; }));
    auto const classes = to_host(context, class_scores(context, logits, words));
    auto const expected = test::values(matrix("decoder.head3.class_logits"));
    CHECK(test::shape(classes) == std::vector<std::size_t>{8, 6});
    CHECK(close(test::values(classes), expected, 1e-6 * test::largest(expected)));
    // Void is never part of a class, and the mean is another number.
    words.reduction = Reduction::mean;
    auto const means = test::values(to_host(context, class_scores(context, logits, words)));
    CHECK_FALSE(close(means, expected, 1e-3));
    for (std::size_t m = 0; m < 8; ++m) CHECK(means[m * 6 + 5] == static_cast<double>(classes(m, 5)));
  });
}

TEST_CASE("one row per class is the mean over its words; a class of one word is that word") {
  Tokenizer const tokenizer(Vocabulary("a b\n"));
  auto const encoder = encoder_of(tokenizer);
  Context<> const context;
  PromptTemplates const templates{"a photo of a {}.", "There is the {} in the scene"};  // the first and fourth of 14
  auto const words =
      encode_words(context, encoder, tokenizer, recorded_classes(), templates, EmbeddingCache(std::filesystem::path()));
  auto const features = test::on_host(words.features);
  CHECK(one_row_per_class(words));
  CHECK(test::shape(words.features) == std::vector<std::size_t>{7, 2, 24});
  auto const unit_vector = [&](std::size_t synonym, std::size_t pattern) {
    std::vector<double> v(24);
    double square = 0;
    for (std::size_t d = 0; d < 24; ++d) {
      v[d] = static_cast<double>(encoder.rows(synonym * 14 + pattern, d));
      square += v[d] * v[d];
    }
    for (auto& x : v) x /= std::sqrt(square);
    return v;
  };
  std::size_t const patterns[] = {0, 3};
  for (std::size_t p = 0; p < 2; ++p) {
    auto const cat = unit_vector(0, patterns[p]), kitten = unit_vector(1, patterns[p]),
               dog = unit_vector(2, patterns[p]);
    double square = 0;
    for (std::size_t d = 0; d < 24; ++d) square += (cat[d] + kitten[d]) * (cat[d] + kitten[d]);
    for (std::size_t d = 0; d < 24; ++d) {
      CHECK(std::fabs(static_cast<double>(features(0, p, d)) - (cat[d] + kitten[d]) / std::sqrt(square)) <= 1e-6);
      CHECK(std::fabs(static_cast<double>(features(1, p, d)) - dog[d]) <= 1e-6);
    }
  }
  auto const scores = test::random_tensor(context, 5, 1, std::size_t{3}, std::size_t{7});
  CHECK(class_scores(context, scores, words).data() == scores.data());
}

TEST_CASE("other rows of the same words are other entries of the cache") {
  Tokenizer const tokenizer(Vocabulary("a b\n"));
  auto const encoder = encoder_of(tokenizer);
  Context<> const context;
  auto const folder = std::filesystem::temp_directory_path() / ("kovos_words_cache_" + std::to_string(::getpid()));
  EmbeddingCache const cache(folder);
  ClassList const classes{{"cat", {"cat", "kitten"}}, {"dog", {"dog"}}};
  auto const templates = prompt_templates("fc_clip");
  auto const encode = [&](RowOptions const& options) {
    return encode_words(context, encoder, tokenizer, classes, templates, cache, {}, options);
  };
  auto const rows = encode(fc_clip_rows), again = encode(fc_clip_rows);
  auto const mean = encode({Reduction::mean, TemplateUse::mean});
  CHECK(test::shape(rows.features) == std::vector<std::size_t>{3, 1, 24});
  CHECK(test::values(again.features) == test::values(rows.features));
  CHECK(again.owner == rows.owner);
  CHECK(test::shape(mean.features) == std::vector<std::size_t>{2, 1, 24});
  CHECK(test::shape(encode({}).features) == std::vector<std::size_t>{2, 14, 24});
  std::filesystem::remove_all(folder);
}

TEST_CASE("words whose rows do not fit are refused") {
  Context<> const context;
  auto const refusal = [](EncodedWords<Memory> const& words) {
    return message_of<ShapeError>([&] { row_owners(words); });
  };
  CHECK(refusal(made_words({0, 2}, 3)) ==
        "[EncodedWords] a row of class 2 follows one of class 0; rows come class by class, at least one for each");
  CHECK(refusal(made_words({0, 1, 0}, 2)).find("class 0 follows one of class 1") != std::string::npos);
  CHECK(refusal(made_words({1, 1}, 2)).find("class 1 follows one of class -1") != std::string::npos);
  CHECK(refusal(made_words({0, 1}, 3)) == "[EncodedWords] the number of classes with rows is 2, expected 3");
  auto words = made_words({0, 1}, 2, true);
  words.has_void = false;
  CHECK(refusal(words) == "[EncodedWords] the number of rows is 3, expected 2");
  CHECK(row_owners(made_words({}, 0)).empty());

  auto const several = made_words({0, 0, 1}, 2);
  auto const scores = test::random_tensor(context, 1, 1, std::size_t{2}, std::size_t{4});
  CHECK(message_of<ShapeError>([&] { class_scores(context, scores, several); }) ==
        "[class_scores] scores.extent(1) is 4, expected 3");
  CHECK(message_of<ShapeError>([&] { require_one_row_per_class(several, "CatSeg"); }) ==
        "[CatSeg] these words have 3 rows for 2 classes, but this model takes one row per class; encode the words "
        "with it");
  CHECK(message_of<ShapeError>([&] {
          require_one_row_per_class(made_words({0, 1}, 2, true), "CatSeg");
        }).find("3 rows for 2 classes and void") != std::string::npos);
  auto const row = test::random_tensor(context, 1, 1, std::size_t{1}, std::size_t{4});
  CHECK(message_of<ShapeError>([&] { with_void_row(context, made_words({0}, 1, true), row); }) ==
        "[with_void_row] the words have a void row already");
  CHECK(message_of<ShapeError>([&] {
          with_void_row(context, several, test::random_tensor(context, 1, 1, std::size_t{1}, std::size_t{5}));
        }) == "[with_void_row] row.extent(1) is 5, expected 4");
}
