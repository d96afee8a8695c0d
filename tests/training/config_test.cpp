// SPDX-License-Identifier: Apache-2.0
#include "kovos/training/config.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "io/support.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {

/// What check() says about the defaults with one change.
std::string complaint(std::function<void(TrainingConfig&)> const& change) {
  TrainingConfig config;
  change(config);
  return message_of<ConfigError>([&] { config.check("run.json"); });
}

std::string refusal(std::string const& key, nlohmann::json const& value) {
  TrainingConfig config;
  auto const message = message_of<ConfigError>([&] { config.set(key, value, "run.json"); });
  CHECK(config.to_json() == TrainingConfig{}.to_json());
  return message;
}

}  // namespace

TEST_CASE("training config: the defaults are the authors' fine-tuning") {
  TrainingConfig const config;
  CHECK_NOTHROW(config.check("run.json"));
  CHECK(config.task == "cat_seg");
  CHECK(config.fine_tuning == "attention");
  CHECK(config.steps == 80000);
  CHECK(config.batch_size == 4);
  CHECK(config.learning_rate == 2e-4);
  CHECK(config.clip_multiplier == 0.01);
  CHECK(config.weight_decay == 1e-4);
  CHECK(config.beta1 == 0.9);
  CHECK(config.beta2 == 0.999);
  CHECK(config.epsilon == 1e-8);
  CHECK(config.max_gradient_norm == 0.01);
  CHECK(config.warmup_steps == 0);
  CHECK(config.end_factor == 0);
}

TEST_CASE("training config: every entry goes to JSON and back") {
  nlohmann::ordered_json written;
  TrainingConfig config;
  TrainingConfig::visit(config, [&](std::string const& key, auto& member) {
    using T = std::remove_reference_t<decltype(member)>;
    if constexpr (std::is_same_v<T, bool>) member = !member;
    else if constexpr (std::is_same_v<T, std::string>) member.append("x");
    else member = static_cast<T>(2 * member + T(3));
    CHECK_FALSE(written.contains(key));
    written[key] = member;
  });
  CHECK(written.size() == TrainingConfig{}.to_json().size());
  CHECK(config.to_json() == written);
  CHECK(config.to_json() != TrainingConfig{}.to_json());
  TrainingConfig again;
  auto const text = nlohmann::json::parse(config.to_json().dump());
  for (auto const& [key, value] : text.items()) again.set(key, value, "run.json");
  CHECK(again.to_json() == config.to_json());
}

TEST_CASE("training config: the largest seed and the smallest numbers survive") {
  TrainingConfig config;
  config.seed = ~std::uint64_t{0};
  config.epsilon = 5e-324;
  config.learning_rate = 0.1 + 0.2;
  TrainingConfig again;
  auto const text = nlohmann::json::parse(config.to_json().dump());
  for (auto const& [key, value] : text.items()) again.set(key, value, "run.json");
  CHECK(again.seed == config.seed);
  CHECK(again.epsilon == config.epsilon);
  CHECK(again.learning_rate == config.learning_rate);
}

TEST_CASE("training config: a value of the wrong type is refused with the type that is expected") {
  TrainingConfig config;
  TrainingConfig::visit(config, [&](std::string const& key, auto& member) {
    CAPTURE(key);
    using T = std::remove_reference_t<decltype(member)>;
    std::string kind = "a whole number that is not negative";
    std::vector<nlohmann::json> wrong{nullptr, nlohmann::json::array({1}), nlohmann::json::object()};
    if constexpr (std::is_same_v<T, bool>) kind = "true or false", wrong.insert(wrong.end(), {1, "true", 0.5});
    else if constexpr (std::is_same_v<T, std::string>) kind = "a text", wrong.insert(wrong.end(), {1, 0.5, true});
    else if constexpr (std::is_same_v<T, double>) kind = "a number", wrong.insert(wrong.end(), {"0.5", false});
    else wrong.insert(wrong.end(), {-1, 1.0, 0.5, "7", true});
    for (auto const& value : wrong) {
      std::string expected = "run.json: '";
      expected.append(key).append("' must be ").append(kind).append(", got ").append(value.dump());
      CHECK(refusal(key, value) == expected);
    }
  });
}

TEST_CASE("training config: whole numbers are numbers too") {
  TrainingConfig config;
  config.set("learning_rate", 1, "run.json");
  config.set("weight_decay", 0, "run.json");
  CHECK(config.learning_rate == 1);
  CHECK(config.weight_decay == 0);
}

TEST_CASE("training config: an unknown name is answered with the nearest one") {
  for (auto const& [wrong, nearest] :
       std::vector<std::pair<std::string, std::string>>{{"learning_rates", "learning_rate"},
                                                        {"leraning_rate", "learning_rate"},
                                                        {"Steps", "steps"},
                                                        {"batchsize", "batch_size"},
                                                        {"warmup_step", "warmup_steps"},
                                                        {"beta", "beta1"},
                                                        {"weight-decay", "weight_decay"},
                                                        {"max_grad_norm", "max_gradient_norm"},
                                                        {"log_evry", "log_every"}}) {
    std::string expected = "run.json: there is no setting '";
    expected.append(wrong).append("'; did you mean '").append(nearest).append("'?");
    CHECK(refusal(wrong, 1) == expected);
  }
  CHECK(refusal("", 1).starts_with("run.json: there is no setting ''; did you mean '"));
}

TEST_CASE("training config: edit distance") {
  using detail::edit_distance;
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("abc", "") == 3);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("flaw", "lawn") == 2);
  CHECK(edit_distance("intention", "execution") == 5);
  CHECK(edit_distance("same", "same") == 0);
}

TEST_CASE("training config: check() says what no run can have") {
  using C = TrainingConfig;
  CHECK(complaint([](C& c) { c.task = "sam"; }) == "run.json: 'task' is 'sam', expected one of cat_seg, clip");
  CHECK(complaint([](C& c) { c.fine_tuning = "all"; }) ==
        "run.json: 'fine_tuning' is 'all', expected one of frozen, attention, prompt, full");
  CHECK(complaint([](C& c) { c.precision = "fp16"; }) == "run.json: 'precision' is 'fp16', expected one of fp32, bf16");
  CHECK(complaint([](C& c) { c.bit_depth = "16"; }) ==
        "run.json: 'bit_depth' is '16', expected one of saturate, scale");
  CHECK(complaint([](C& c) { c.orientation = "exif"; }) ==
        "run.json: 'orientation' is 'exif', expected one of apply, ignore");
  CHECK(complaint([](C& c) { c.unreadable = ""; }) == "run.json: 'unreadable' is '', expected one of stop, skip");
  CHECK(complaint([](C& c) { c.steps = 0; }) == "run.json: 'steps' must be positive, got 0");
  CHECK(complaint([](C& c) { c.batch_size = 0; }) == "run.json: 'batch_size' must be positive, got 0");
  CHECK(complaint([](C& c) { c.accumulation = 0; }) == "run.json: 'accumulation' must be positive, got 0");
  CHECK(complaint([](C& c) { c.log_every = 0; }) == "run.json: 'log_every' must be positive, got 0");
  CHECK(complaint([](C& c) { c.checkpoint_every = 0; }) == "run.json: 'checkpoint_every' must be positive, got 0");
  CHECK(complaint([](C& c) { c.learning_rate = 0; }) == "run.json: 'learning_rate' must be positive, got 0");
  CHECK(complaint([](C& c) { c.learning_rate = -1; }) == "run.json: 'learning_rate' must be positive, got -1");
  CHECK(complaint([](C& c) { c.epsilon = 0; }) == "run.json: 'epsilon' must be positive, got 0");
  CHECK(complaint([](C& c) { c.beta1 = 1; }) == "run.json: 'beta1' must be at least 0 and below 1, got 1");
  CHECK(complaint([](C& c) { c.beta2 = -0.5; }) == "run.json: 'beta2' must be at least 0 and below 1, got -0.5");
  CHECK(complaint([](C& c) { c.dense_share = 1.5; }) == "run.json: \"dense_share\" must be from 0 to 1, got 1.5");
  CHECK(complaint([](C& c) { c.weight_decay = -1; }) == "run.json: 'weight_decay' must not be negative, got -1");
  CHECK(complaint([](C& c) { c.clip_multiplier = -1; }) == "run.json: 'clip_multiplier' must not be negative, got -1");
  CHECK(complaint([](C& c) { c.end_factor = -1; }) == "run.json: 'end_factor' must not be negative, got -1");
  CHECK(complaint([](C& c) { c.max_gradient_norm = -1; }) ==
        "run.json: 'max_gradient_norm' must not be negative, got -1");
  CHECK(complaint([](C& c) { c.class_template = "a photo"; }) ==
        "run.json: \"class_template\" must hold {} where the class name goes, got 'a photo'");
  double const nan = std::nan("");
  for (auto const member : {&C::learning_rate, &C::epsilon, &C::beta1, &C::beta2, &C::dense_share, &C::weight_decay,
                            &C::max_gradient_norm, &C::end_factor, &C::clip_multiplier})
    CHECK(complaint([&](C& c) { c.*member = nan; }).ends_with("got nan"));
}

TEST_CASE("training config: the edges of what is allowed") {
  using C = TrainingConfig;
  for (std::function<void(C&)> const& change : std::initializer_list<std::function<void(C&)>>{
           [](C& c) { c.beta1 = c.beta2 = 0; }, [](C& c) { c.dense_share = 1; }, [](C& c) { c.weight_decay = 0; },
           [](C& c) { c.max_gradient_norm = 0; }, [](C& c) { c.steps = 1; }, [](C& c) { c.class_template = "{}"; },
           [](C& c) { c.task = "clip"; }, [](C& c) { c.precision = "bf16"; }, [](C& c) { c.fine_tuning = "full"; },
           [](C& c) { c.unreadable = "skip"; }, [](C& c) { c.bit_depth = "scale", c.orientation = "ignore"; },
           [](C& c) { c.evaluate_every = c.warmup_steps = 0; }})
    CHECK(complaint(change) == "nothing was thrown");
}

TEST_CASE("training config: files") {
  TemporaryFolder const folder;
  auto const path = folder / "run.json";
  auto const read = [&](std::string const& text) {
    store(path, text);
    return message_of<ConfigError>([&] { read_training_config(path); });
  };
  store(path, R"({"steps": 7, "seed": 18446744073709551615, "recompute": true, "initial": "a.pth", "beta1": 0.5})");
  auto const config = read_training_config(path);
  CHECK(config.steps == 7);
  CHECK(config.seed == 18446744073709551615u);
  CHECK(config.recompute);
  CHECK(config.initial == "a.pth");
  CHECK(config.beta1 == 0.5);
  CHECK(config.batch_size == TrainingConfig{}.batch_size);
  store(path, "{}");
  CHECK(read_training_config(path).to_json() == TrainingConfig{}.to_json());
  for (char const* const text : {"[1]", "7", "null", "\"steps\""})
    CHECK(read(text) == path.string() + ": this is not a JSON object of training settings");
  for (char const* const text : {"", "\xff\xfe", "{\"steps\": 7", "{\"steps\": 7,}"})
    CHECK(read(text).starts_with(path.string() + ": parse error at line 1, column "));
  CHECK(read("{\"steps\": 7,\n\"seed\" 3}").starts_with(path.string() + ": parse error at line 2, column "));
  CHECK(read("{\"step\": 7}") == path.string() + ": there is no setting 'step'; did you mean 'steps'?");
  CHECK(read("{\"steps\": 0}") == path.string() + ": 'steps' must be positive, got 0");
  CHECK(read("{\"steps\": -3}") == path.string() + ": 'steps' must be a whole number that is not negative, got -3");
  CHECK(message_of<FileError>([&] { read_training_config(folder / "none.json"); }).find("none.json") !=
        std::string::npos);
}
