// SPDX-License-Identifier: Apache-2.0
#include "kovos/text/prompt_template.hpp"

#include <doctest/doctest.h>

#include <string>

#include "text/sha256.hpp"
#include "text/support.hpp"

using namespace kovos;
using test::contains;
using test::message_of;

namespace {

std::string joined(PromptTemplates const& templates) {
  std::string text;
  for (auto const& pattern : templates) text += (text.empty() ? "" : "\n") + pattern;
  return text;
}

}  // namespace

TEST_CASE("the check sum used below is SHA-256") {
  CHECK(test::sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(test::sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("the authors' template sets are exact") {
  CHECK(prompt_templates("single") == PromptTemplates{"A photo of a {} in the scene"});
  CHECK(prompt_templates("photo") == PromptTemplates{"a photo of a {}."});
  CHECK(prompt_templates("imagenet").size() == 80);
  CHECK(prompt_templates("imagenet_select").size() == 8);
  CHECK(prompt_templates("vild").size() == 63);
  CHECK(prompt_templates("fc_clip").size() == 14);
  CHECK(test::sha256(joined(prompt_templates("imagenet"))) ==
        "4f976686fb651bb5803d4689dcd849f75efe0ef19a3c801355bc9a6f03c8a5af");
  CHECK(test::sha256(joined(prompt_templates("imagenet_select"))) ==
        "ddace8bbaffbdfc4b46d430b89323908f56e9c16942fef28484e978159d5eef4");
  CHECK(test::sha256(joined(prompt_templates("vild"))) ==
        "40c6e7f22ef545f712f663f2e5eb6bf274effae252c8a0365b6310d8681f5136");
  CHECK(test::sha256(joined(prompt_templates("fc_clip"))) ==
        "20c81c13267c6b932d64146a292f740d2630ab9a403650b066628fa670a7a1b7");
}

TEST_CASE("a word in its template") {
  CHECK(fill("a photo of a {}.", "cat") == "a photo of a cat.");
  CHECK(fill("{} and {}", "{}") == "{} and {}");
  CHECK(fill("a {article} {}", "Owl_x") == "a {article} Owl_x");
  CHECK(fill("{article} {category}.", "Owl") == "an owl.");
  CHECK(fill("{article} {category}.", "Traffic_light/Sign") == "a traffic light or sign.");
  CHECK(fill("{category}", "{article}") == "{article}");
  CHECK(contains(message_of<TextError>([] { fill("a photo", "cat"); }), "'a photo' has no place for the word"));
}

TEST_CASE("templates of the user's own") {
  CHECK(prompt_templates("a drawing of {}") == PromptTemplates{"a drawing of {}"});
  test::TemporaryFolder const folder;
  auto const file = folder.write("t.txt", "# mine\r\na {}\r\n\r\n  {category} seen\n");
  CHECK(prompt_templates(file.string()) == PromptTemplates{"a {}", "{category} seen"});
  auto const refused = [](std::string const& name) { return message_of<TextError>([&] { prompt_templates(name); }); };
  CHECK(contains(refused(folder.write("u.txt", "a {}\nb\n").string()), "line 2: the template 'b' has no place"));
  CHECK(contains(refused(folder.write("v.txt", "#\n").string()), "holds no prompt template"));
  CHECK(contains(refused("imagenet_81"), "there is no template set 'imagenet_81'; use one of single, imagenet,"));
  CHECK(contains(message_of<FileError>([&] { prompt_templates((folder.path() / "none.txt").string()); }),
                 "does not exist"));
}
