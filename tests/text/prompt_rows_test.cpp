// SPDX-License-Identifier: Apache-2.0
#include "kovos/text/prompt_rows.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "text/support.hpp"

using namespace kovos;
using test::contains;
using test::message_of;
using Numbers = std::vector<std::int32_t>;
using Texts = std::vector<std::string>;

namespace {
ClassList const pets{{"cat", {"cat", "kitten"}}, {"dog", {"dog"}}};
PromptTemplates const two{"a {}.", "the {}."};
}  // namespace

TEST_CASE("rows of prompts: one per class with a vector per template, as CAT-Seg") {
  auto const rows = prompt_rows(pets, two);
  CHECK(rows.names == Texts{"cat", "dog"});
  CHECK(rows.owner == Numbers{0, 1});
  CHECK(rows.vectors_per_row == 2);
  CHECK(rows.prompts == Texts{"a cat.", "a kitten.", "the cat.", "the kitten.", "a dog.", "the dog."});
  CHECK(rows.vector_of == Numbers{0, 0, 1, 1, 2, 3});
}

TEST_CASE("rows of prompts: one per word, the mean over templates, as FC-CLIP") {
  auto const rows = prompt_rows(pets, two, {Reduction::maximum, TemplateUse::mean});
  CHECK(rows.names == Texts{"cat", "dog"});
  CHECK(rows.owner == Numbers{0, 0, 1});
  CHECK(rows.vectors_per_row == 1);
  CHECK(rows.prompts == Texts{"a cat.", "the cat.", "a kitten.", "the kitten.", "a dog.", "the dog."});
  CHECK(rows.vector_of == Numbers{0, 0, 1, 1, 2, 2});
}

TEST_CASE("rows of prompts: one vector per class, and one per word and template") {
  auto const mean = prompt_rows(pets, two, {Reduction::mean, TemplateUse::mean});
  CHECK(mean.owner == Numbers{0, 1});
  CHECK(mean.vector_of == Numbers{0, 0, 0, 0, 1, 1});
  auto const each = prompt_rows(pets, two, {Reduction::maximum, TemplateUse::each});
  CHECK(each.owner == Numbers{0, 0, 1});
  CHECK(each.vectors_per_row == 2);
  CHECK(each.vector_of == Numbers{0, 1, 2, 3, 4, 5});
}

TEST_CASE("rows of a class list file and of FC-CLIP's prompt file") {
  test::TemporaryFolder const folder;
  auto const list = read_classes(folder.write("own.txt", "pet = cat, dog\nsky, clouds\n"));
  auto const own = prompt_rows(list, {"{}"}, {Reduction::maximum, TemplateUse::mean});
  CHECK(own.names == Texts{"pet", "sky"});
  CHECK(own.owner == Numbers{0, 0, 1});
  CHECK(own.prompts == Texts{"cat", "dog", "sky"});
  auto const prompts = read_classes(folder.write("fc.txt", "0:invalid_class_id\n1:person,child\n2:cat\n"));
  auto const official = prompt_rows(prompts, prompt_templates("fc_clip"), {Reduction::maximum, TemplateUse::mean});
  CHECK(official.names == Texts{"person", "cat"});
  CHECK(official.owner == Numbers{0, 0, 1});
  CHECK(official.prompts.size() == 3 * 14);
  CHECK(official.prompts[14 + 6] == "a photo of a medium child.");
  CHECK(official.vector_of[14 + 6] == 1);
}

TEST_CASE("rows of prompts that cannot be made") {
  auto const refusal = [](ClassList const& classes, PromptTemplates const& templates) {
    return message_of<TextError>([&] { prompt_rows(classes, templates); });
  };
  CHECK(contains(refusal({}, two), "the list of classes is empty"));
  CHECK(contains(refusal(pets, {}), "there is no prompt template"));
  CHECK(contains(refusal({{"cat", {}}}, two), "the class 'cat' has no words"));
  CHECK(contains(refusal(pets, {"a cat."}), "has no place for the word"));
}
