// SPDX-License-Identifier: Apache-2.0
// Seconds, memory and first loss of a training step:
//   kovos_train_bench [--cases cat_seg_scenes,clip_scenes,clip_scenes_dense,cat_seg_vit_b16] [--batch N] [--classes N]
//                     [--repetitions 5] [--json FILE] [--write FILE]
// A step is all of the trainer's: forward, backward, clipping, AdamW. Every step learns from the same batch: noise,
// labels in squares and random tokens, because the time depends on none of them. --write keeps the batch, the weights
// before the first step, its loss and its gradient norm, for bench/peers/pytorch_train.py, and measures nothing.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/machine.hpp"
#include "common/measure.hpp"
#include "common/table.hpp"
#include "kovos/core/error.hpp"
#include "kovos/io/safetensors.hpp"
#include "kovos/segmentation/cat_seg_config.hpp"
#include "kovos/segmentation/cat_seg_network.hpp"
#include "kovos/training/adamw.hpp"
#include "kovos/training/cat_seg_training.hpp"
#include "kovos/training/checkpoint.hpp"
#include "kovos/training/clip_training.hpp"
#include "kovos/training/initialization.hpp"
#include "kovos/training/parameters.hpp"

namespace {

using namespace kovos;
using bench::Json;
using Exec = Kokkos::DefaultHostExecutionSpace;
using Prompts = std::vector<std::vector<std::int32_t>>;

struct Plan {
  std::size_t batch = 0, classes = 24;  // batch 0: as each case is trained
  std::size_t repetitions = 5;
  std::string write;
};

/// One case: who is trained, how, from what, and how PyTorch learns of it.
struct Case {
  std::string name;
  AdamWConfig optimizer;
  std::size_t pictures = 0;
  Json description;                          // geometry and settings
  std::map<std::string, TensorBytes> batch;  // "batch.pixels", "batch.tokens", "batch.labels"
};

Image noise(bench::Random& random, std::size_t side) {
  Image image{side, side, std::vector<std::uint8_t>(side * side * 3)};
  for (auto& value : image.pixels) value = static_cast<std::uint8_t>(random.below(256));
  return image;
}

/// Squares of 16 pixels, each of one class or of none.
LabelMap squares(bench::Random& random, std::size_t side, std::size_t classes) {
  LabelMap map{side, side, std::vector<std::uint16_t>(side * side)};
  std::vector<std::uint16_t> row((side + 15) / 16);
  for (std::size_t y = 0; y < side; ++y) {
    if (y % 16 == 0)
      for (auto& label : row) {
        std::size_t const drawn = random.below(classes + 1);
        label = drawn == classes ? LabelMap::unknown : static_cast<std::uint16_t>(drawn);
      }
    for (std::size_t x = 0; x < side; ++x) map(y, x) = row[x / 16];
  }
  return map;
}

/// Start, random ids, end; lengths from `shortest` to `longest`, the first prompt has the longest.
Prompts random_prompts(bench::Random& random, std::size_t count, std::size_t shortest, std::size_t longest,
                       std::size_t vocabulary) {
  Prompts prompts(count);
  for (auto& prompt : prompts) {
    prompt.resize(&prompt == &prompts[0] ? longest : shortest + random.below(longest - shortest + 1));
    for (auto& id : prompt) id = static_cast<std::int32_t>(random.below(vocabulary - 2));
    prompt.front() = static_cast<std::int32_t>(vocabulary - 2);
    prompt.back() = static_cast<std::int32_t>(vocabulary - 1);
  }
  return prompts;
}

template <class T>
TensorBytes tensor_of(DType dtype, std::vector<std::size_t> shape, std::vector<T> values) {
  auto const owner = std::make_shared<std::vector<T>>(std::move(values));
  TensorBytes tensor;
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  tensor.bytes = std::as_bytes(std::span<T const>(*owner));
  tensor.owner = owner;
  return tensor;
}

TensorBytes pixel_tensor(std::vector<Image> const& images) {
  std::vector<std::uint8_t> all;
  for (auto const& image : images) all.insert(all.end(), image.pixels.begin(), image.pixels.end());
  return tensor_of(DType::u8, {images.size(), images[0].height, images[0].width, 3}, std::move(all));
}

/// Ids, 0 after the end. [N, longest].
TensorBytes token_tensor(Prompts const& prompts) {
  std::size_t longest = 0;
  for (auto const& prompt : prompts) longest = std::max(longest, prompt.size());
  std::vector<std::int32_t> ids(prompts.size() * longest, 0);
  for (std::size_t i = 0; i < prompts.size(); ++i)
    std::copy(prompts[i].begin(), prompts[i].end(), ids.begin() + static_cast<std::ptrdiff_t>(i * longest));
  return tensor_of(DType::i32, {prompts.size(), longest}, std::move(ids));
}

/// Class numbers, -1 where there is none. [N, H, W].
TensorBytes labels_tensor(std::vector<LabelMap> const& maps) {
  std::vector<std::int32_t> all;
  for (auto const& map : maps)
    for (auto const label : map.labels) all.push_back(label == LabelMap::unknown ? -1 : label);
  return tensor_of(DType::i32, {maps.size(), maps[0].height, maps[0].width}, std::move(all));
}

/// In the words of tests/reference/cat_seg_reference.py.
Json clip_geometry(ClipConfig const& c) {
  return {{"image_width", c.vision.width}, {"image_layers", c.vision.layers},     {"image_heads", c.vision.heads},
          {"patch", c.vision.patch_size},  {"pos_grid", c.vision.grid()},         {"text_width", c.text.width},
          {"text_layers", c.text.layers},  {"text_heads", c.text.heads},          {"context", c.text.context_length},
          {"embed", c.embed_dim},          {"vocabulary", c.text.vocabulary_size}};
}

template <CatSegConfig Config>
Json cat_seg_geometry() {
  Json g = clip_geometry(Config.clip);
  g["input_resolution"] = Config.clip_resolution;
  g["token_grid"] = Config.grid();
  g["hooked_blocks"] = Config.hooked_blocks;
  g["guidance_widths"] = Config.decoder_guidance_dims;
  g["hidden"] = Config.hidden_dim;
  g["heads"] = Config.num_heads;
  g["pooling"] = training_pooling<Config>();
  g["window"] = Config.window_size;
  g["shift"] = Config.shift_size;
  g["attention"] = Config.class_attention == ClassAttention::linear ? "linear" : "full";
  g["pad_len"] = Config.pad_len;
  g["text_proj"] = Config.text_guidance_dim;
  g["appearance_proj"] = Config.appearance_guidance_dim;
  g["decoder"] = Config.decoder_dims;
  g["decoder_proj"] = Config.decoder_guidance_proj_dims;
  g["prompts"] = Config.num_templates;
  return g;
}

Json as_json(AdamWConfig const& c) {
  return {{"learning_rate", c.learning_rate},
          {"beta1", c.beta1},
          {"beta2", c.beta2},
          {"epsilon", c.epsilon},
          {"max_gradient_norm", c.max_gradient_norm}};
}

/// rule(name, role) -> std::optional<ParameterRule>; loss(tape) -> [1].
template <Recompute Policy, class Network, class Rule, class Loss>
Json measure(Case task, Network& network, Rule const& rule, Loss const& loss, Plan const& plan) {
  Context<Exec> const context;  // a workspace of its own
  bench::reset_peak_resident();
  initialize(context, network, 1);
  TrainedParameters<Exec> const parameters(context, network, rule);
  AdamW<Exec> optimizer(context, task.optimizer, parameters);
  auto file = plan.write.empty() ? std::map<std::string, TensorBytes>{} : model_tensors(context, network, &parameters);

  std::vector<double> losses, norms, forward, backward, update, total;
  std::size_t trained = 0;
  for (auto const& entry : parameters.list()) trained += entry.size;
  for (std::size_t run = 0; run <= (plan.write.empty() ? plan.repetitions : 0); ++run) {  // the first one warms up
    double f = 0, b = 0, u = 0;
    double const t = bench::seconds([&] {
      Tape<Exec, Policy> tape(context);
      DynamicTensor<float, 1, Kokkos::HostSpace> value;
      f = bench::seconds([&] {
        parameters.clear_gradients();
        parameters.watch(tape);
        value = loss(tape);
        losses.push_back(static_cast<double>(to_host(context, value).data()[0]));
      });
      b = bench::seconds([&] {
        tape.backward(value);
        context.fence();
      });
      u = bench::seconds([&] {
        norms.push_back(optimizer.step(parameters));
        for (auto const& entry : parameters.list())  // the temperature stays at or above 0.01
          if (entry.name == "logit_scale") {
            float& scale = parameters.values().data()[entry.offset];
            scale = std::min(scale, std::log(100.0f));
          }
      });
    });
    if (run == 0) continue;
    forward.push_back(f), backward.push_back(b), update.push_back(u), total.push_back(t);
  }

  Json r;
  r["case"] = task.name;
  r["pictures"] = task.pictures;
  r["recompute"] = Policy == Recompute::blocks;
  r["trained_parameters"] = trained;
  r["losses"] = losses;
  r["gradient_norms"] = norms;
  if (!plan.write.empty()) {
    task.description.update(r);
    task.description["optimizer"] = as_json(task.optimizer);
    for (auto const& entry : parameters.list())
      task.description["parameters"].push_back(
          {entry.name, entry.rule.learning_rate_multiplier, entry.rule.weight_decay});
    file.merge(task.batch);
    write_safetensors(plan.write, file, {{"kovos.bench.train", task.description.dump()}});
    return r;
  }
  r["seconds"] = {{"forward", bench::median(forward)},
                  {"backward", bench::median(backward)},
                  {"optimizer", bench::median(update)},
                  {"step", bench::median(total)}};
  r["steps"] = total;
  r["pictures_per_second"] = static_cast<double>(task.pictures) / bench::median(total);
  r["workspace_peak_bytes"] = context.workspace().peak_bytes();
  r["peak_rss_bytes"] = bench::peak_resident_bytes();
  r["load_average_after"] = bench::load_average();
  std::fprintf(stderr, "%s: %.3f s\n", task.name.c_str(), bench::median(total));
  return r;
}

/// Fine-tuning of the query and value projections and training of the head, as the authors do.
template <CatSegConfig Config, Recompute Policy>
Json cat_seg(std::size_t pictures, std::size_t classes, double clip_multiplier, AdamWConfig const& optimizer,
             Plan const& plan) {
  bench::Random random(1);
  SegmentationBatch batch;
  for (std::size_t i = 0; i < pictures; ++i) {
    batch.images.push_back(noise(random, Config.clip_resolution));
    batch.labels.push_back(squares(random, Config.clip_resolution, classes));
  }
  auto const prompts = random_prompts(random, classes, 12, 12, Config.clip.text.vocabulary_size);
  Case task{std::string(preset_name<Config>), optimizer, pictures, {}, {}};
  task.description["task"] = "cat_seg";
  task.description["geometry"] = cat_seg_geometry<Config>();
  task.description["mean"] = Config.test.pixel_mean;
  task.description["deviation"] = Config.test.pixel_std;
  task.batch["batch.pixels"] = pixel_tensor(batch.images);
  task.batch["batch.labels"] = labels_tensor(batch.labels);
  task.batch["batch.tokens"] = token_tensor(prompts);
  CatSegNetwork<Config, float, Kokkos::HostSpace> network;
  return measure<Policy>(
      std::move(task), network, CatSegParameterRule{.clip_multiplier = clip_multiplier},
      [&](auto const& tape) {
        return cat_seg_loss(tape, network, batch, std::span<std::vector<std::int32_t> const>(prompts));
      },
      plan);
}

/// Contrastive training of all parameters of CLIP.
template <CatSegConfig Config>
Json clip(std::string name, std::size_t pictures, double dense_share, AdamWConfig const& optimizer, Plan const& plan) {
  constexpr ClipConfig clip_config = Config.clip;
  bench::Random random(1);
  std::vector<Image> images;
  for (std::size_t i = 0; i < pictures; ++i) images.push_back(noise(random, clip_config.vision.image_size));
  auto const captions = random_prompts(random, pictures, 12, clip_config.text.context_length,  //
                                       clip_config.text.vocabulary_size);
  ClipLossConfig loss{Config.test.pixel_mean, Config.test.pixel_std};
  loss.dense_share = dense_share;
  Case task{std::move(name), optimizer, pictures, {}, {}};
  task.description["task"] = "clip";
  task.description["geometry"] = clip_geometry(clip_config);
  task.description["mean"] = loss.mean;
  task.description["deviation"] = loss.deviation;
  task.description["dense_share"] = loss.dense_share;
  task.description["dense_sharpness"] = loss.dense_sharpness;
  task.batch["batch.pixels"] = pixel_tensor(images);
  task.batch["batch.tokens"] = token_tensor(captions);
  ClipModel<clip_config, float, Kokkos::HostSpace> model;
  return measure<Recompute::nothing>(
      std::move(task), model, ClipParameterRule{},
      [&](auto const& tape) {
        return clip_loss(tape, model, std::span<Image const>(images),
                         std::span<std::vector<std::int32_t> const>(captions), {}, loss);
      },
      plan);
}

void print_table(Json const& results) {
  bench::print_header({"case", "batch", "step, s", "from - to", "pictures/s", "forward", "backward", "optimizer",
                       "peak memory", "workspace", "first loss"});
  for (auto const& r : results) {
    auto const seconds = [&](char const* part) { return bench::text("%.3f", r["seconds"][part].get<double>()); };
    auto const steps = r["steps"].get<std::vector<double>>();
    auto const [least, most] = std::minmax_element(steps.begin(), steps.end());
    bench::print_row({r["case"].get<std::string>(), std::to_string(r["pictures"].get<int>()), seconds("step"),
                      bench::text("%.3f - %.3f", *least, *most),
                      bench::text("%.2f", r["pictures_per_second"].get<double>()), seconds("forward"),
                      seconds("backward"), seconds("optimizer"),
                      bench::text("%.2f GB", r["peak_rss_bytes"].get<double>() * 1e-9),
                      bench::text("%.2f GB", r["workspace_peak_bytes"].get<double>() * 1e-9),
                      bench::text("%.6f", r["losses"][0].get<double>())});
  }
}

/// The settings are those of weights/cat_seg_144.json and weights/clip_96.json, and the authors' for ViT-B/16.
Json run_case(std::string const& name, Plan const& plan) {
  auto const batch = [&](std::size_t usual) { return plan.batch > 0 ? plan.batch : usual; };
  AdamWConfig const pretraining{.learning_rate = 1.5e-3, .beta2 = 0.98, .epsilon = 1e-6, .max_gradient_norm = 1};
  if (name == "cat_seg_scenes")
    return cat_seg<cat_seg_scenes, Recompute::nothing>(batch(4), plan.classes, 0.1,
                                                       {.learning_rate = 1e-3, .max_gradient_norm = 1}, plan);
  if (name == "cat_seg_vit_b16")
    return cat_seg<cat_seg_vit_b16, Recompute::blocks>(batch(1), plan.classes, 0.01, {}, plan);
  if (name == "clip_scenes") return clip<cat_seg_scenes>(name, batch(64), 0, pretraining, plan);
  if (name == "clip_scenes_dense") return clip<cat_seg_scenes>(name, batch(64), 0.5, pretraining, plan);
  fail<ConfigError>("there is no case ", detail::in_quotes(name),
                    ", expected cat_seg_scenes, clip_scenes, clip_scenes_dense or cat_seg_vit_b16");
}

int run(bench::Arguments arguments) {
  Plan plan;
  auto const cases = arguments.list("--cases", "cat_seg_scenes,clip_scenes,clip_scenes_dense");
  plan.batch = std::stoul(arguments.option("--batch", "0"));
  plan.classes = std::stoul(arguments.option("--classes", "24"));
  plan.repetitions = std::stoul(arguments.option("--repetitions", "5"));
  plan.write = arguments.option("--write");
  auto const json = arguments.option("--json");
  if (!arguments.rest().empty() || plan.classes == 0 || plan.repetitions == 0 ||
      (!plan.write.empty() && cases.size() != 1)) {
    std::fprintf(
        stderr,
        "usage: kovos_train_bench [--cases NAME,...] [--batch N] [--classes N] [--repetitions N] [--json FILE]\n"
        "       kovos_train_bench --cases NAME [--batch N] [--classes N] --write FILE\n"
        "cases: cat_seg_scenes, clip_scenes, clip_scenes_dense, cat_seg_vit_b16\n");
    return 2;
  }
  Json record;
  record["benchmark"] = "train";
  record["machine"] = bench::machine(Context<Exec>{});
  record["repetitions"] = plan.repetitions;
  record["classes"] = plan.classes;
  record["results"] = Json::array();
  for (auto const& name : cases) record["results"].push_back(run_case(name, plan));
  if (!plan.write.empty()) return 0;
  std::printf("One step: forward, backward, clipping, AdamW; median of %zu after one that warms up, fp32.\n\n",
              plan.repetitions);
  print_table(record["results"]);
  bench::print_machine(record["machine"]);
  bench::write_json(json, record);
  return 0;
}

}  // namespace

int main(int count, char** values) {
  Runtime runtime;
  try {
    return run(bench::Arguments(count, values));
  } catch (std::exception const& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
