// SPDX-License-Identifier: Apache-2.0
// What is told beside the weights of a CLIP, and the numbers of transformers and open_clip with it.

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "kovos/checkpoint/canonical_names.hpp"
#include "kovos/checkpoint/load_parameters.hpp"
#include "kovos/clip/clip.hpp"
#include "kovos/clip/settings_beside.hpp"
#include "kovos/clip/zero_shot.hpp"
#include "kovos/io/checkpoint_file.hpp"
#include "kovos/io/tensor_bytes.hpp"
#include "kovos/kernels/cosine_similarity.hpp"

namespace {

using namespace kovos;
using Json = nlohmann::json;
namespace fs = std::filesystem;

constexpr ClipConfig tiny_clip{.embed_dim = 12,
                               .vision = {.image_size = 16, .patch_size = 4, .width = 16, .layers = 3, .heads = 2},
                               .text = {.vocabulary_size = 554, .width = 8, .layers = 1, .heads = 2}};

fs::path data() { return fs::path(KOVOS_TEST_DATA) / "checkpoints"; }

/// A folder with one file of weights, and whatever is written beside it.
class Folder {
 public:
  explicit Folder(char const* weights = "tiny_hf.safetensors", std::string const& name = "weights.safetensors",
                  std::string const& folder = "clip-settings") {
    path_ = fs::temp_directory_path() / ("kovos-" + std::to_string(reinterpret_cast<std::uintptr_t>(this))) / folder;
    fs::create_directories(path_);
    weights_ = path_ / name;
    fs::copy_file(data() / weights, weights_, fs::copy_options::overwrite_existing);
  }
  ~Folder() { fs::remove_all(path_.parent_path()); }
  void write(char const* name, std::string const& text) const { std::ofstream(path_ / name) << text; }
  void write(char const* name, Json const& json) const { write(name, json.dump()); }
  FoundSettings find() const { return find_clip_settings(read_checkpoint(weights_), tiny_clip); }
  std::string refusal() const {
    try {
      (void)find();
    } catch (CheckpointError const& error) {
      return error.what();
    }
    return "";
  }
  fs::path const& weights() const { return weights_; }

 private:
  fs::path path_, weights_;
};

Json recorded() { return Json::parse(std::ifstream(data() / "tiny_settings.json")); }
Json hugging_face_config() { return Json::parse(std::ifstream(data() / "tiny_hf.config.json")); }
Json open_clip_config(bool quick_gelu) {
  auto json = recorded()["cases"].back()["config"];
  json["model_cfg"]["quick_gelu"] = quick_gelu;
  return json;
}

bool contains(std::string const& text, std::string const& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("activation and normalisation from beside the weights give the numbers of transformers and open_clip") {
  Context<> const context;
  auto const expected = read_checkpoint(data() / "tiny_expected.safetensors");
  auto const image = to_float(expected.tensors.at("image"));
  auto const ids = to_float(expected.tensors.at("tokens"));
  std::vector<std::vector<std::int32_t>> prompts(3);
  for (std::size_t i = 0; i < ids.size(); ++i) prompts[i / 77].push_back(static_cast<std::int32_t>(ids[i]));
  auto const results = recorded();
  std::size_t compared = 0;
  for (auto const& one : results["cases"]) {
    bool const hugging_face = one["maker"] == "transformers";
    Folder const folder(hugging_face ? "tiny_hf.safetensors" : "tiny_openclip_text.safetensors");
    folder.write(hugging_face ? "config.json" : "open_clip_config.json", one["config"]);
    if (hugging_face)
      folder.write("preprocessor_config.json", Json{{"image_mean", one["mean"]}, {"image_std", one["std"]}});
    auto const found = folder.find();
    CAPTURE(one["config"].dump());
    CHECK(found.warnings.empty());
    CHECK(contains(found.activation_from, hugging_face ? "config.json" : "open_clip_config.json"));

    ClipModel<tiny_clip, float, Context<>::memory_space> weights;
    load_parameters_or_throw(context, weights, with_canonical_names(read_checkpoint(folder.weights())), "tiny");
    Clip<tiny_clip> const clip(weights, Tokenizer(find_vocabulary(data() / "tiny_clip.safetensors")), context,
                               found.settings);
    auto const& settings = clip.settings();
    DynamicTensor<float, 4> const pixels(dynamic_extents<4>(1, 16, 16, 3));
    for (std::size_t y = 0; y < 16; ++y)
      for (std::size_t x = 0; x < 16; ++x)
        for (std::size_t c = 0; c < 3; ++c)
          pixels(0, y, x, c) =
              (image[((y + 12) * 52 + x + 18) * 3 + c] / 255.0f - settings.pixel_mean[c]) / settings.pixel_std[c];
    auto const cosine =
        to_host(context, cosine_similarity(context, clip.model().visual.encode(context, to_device(context, pixels)),
                                           clip.model().text.encode(context, prompts)));
    double const scale = std::exp(static_cast<double>(to_host(context, clip.model().logit_scale).data()[0]));
    double sum = 0;
    for (std::size_t i = 0; i < 3; ++i) sum += std::exp(scale * static_cast<double>(cosine(0, i)));
    for (std::size_t i = 0; i < 3; ++i) {
      double const score = scale * static_cast<double>(cosine(0, i));
      // The activations differ by 0.06 here.
      CHECK(std::fabs(score - one["scores"][i].get<double>()) <= 5e-5);
      CHECK(std::fabs(std::exp(score) / sum - one["probabilities"][i].get<double>()) <= 1e-5);
      ++compared;
    }
  }
  CHECK(compared == 30);
}

TEST_CASE("Clip::load takes what is told beside the weights") {
  Folder const folder;
  auto config = hugging_face_config();
  config["text_config"]["hidden_act"] = "gelu";
  folder.write("config.json", config);
  folder.write("processor_config.json",
               Json{{"image_processor", {{"image_mean", {0.5, 0.5, 0.5}}, {"image_std", {0.25, 0.5, 1}}}}});
  fs::copy_file(data() / "merges.txt", folder.weights().parent_path() / "merges.txt");
  auto const clip = Clip<tiny_clip>::load(folder.weights());
  CHECK(clip.model().visual.activation == Activation::quick_gelu);
  CHECK(clip.model().text.activation == Activation::gelu);
  CHECK(clip.settings().pixel_mean == std::array{0.5f, 0.5f, 0.5f});
  CHECK(clip.settings().pixel_std == std::array{0.25f, 0.5f, 1.0f});
}

TEST_CASE("text embeddings of one activation are not found again for the other") {
  Folder const folder;
  fs::copy_file(data() / "merges.txt", folder.weights().parent_path() / "merges.txt");
  EmbeddingCache const cache(folder.weights().parent_path() / "cache");
  Context<> const context;
  ClipModel<tiny_clip, float, Context<>::memory_space> model;
  load_parameters_or_throw(context, model, with_canonical_names(read_checkpoint(folder.weights())), "tiny");
  Tokenizer const tokenizer(find_vocabulary(folder.weights()));
  auto const encode = [&](Activation a) {
    model.text.activation = a;
    auto const words =
        encode_words(context, model.text, tokenizer, class_list({"cat"}), prompt_templates("single"), cache);
    auto const features = to_host(context, words.features);
    return std::vector<float>(features.data(), features.data() + features.size());
  };
  auto const quick = encode(Activation::quick_gelu), exact = encode(Activation::gelu);
  CHECK(quick != exact);
  CHECK(encode(Activation::quick_gelu) == quick);
  CHECK(encode(Activation::gelu) == exact);
}

TEST_CASE("the activation where no file tells it") {
  auto const told = [](std::string const& name, std::string const& folder = "clip",
                       char const* weights = "tiny_clip.safetensors") {
    Folder const f(weights, name, folder);
    return f.find();
  };
  auto const activation = [&](std::string const& name, std::string const& folder = "clip") {
    auto const found = told(name, folder);
    CAPTURE(name);
    CHECK(found.settings.image_activation == found.settings.text_activation);
    CHECK(found.activation_from.empty() == !found.warnings.empty());
    return found.activation_from.empty() ? std::string("nothing")
                                         : std::string(name_of(found.settings.image_activation));
  };
  CHECK(activation("vit_b_16-laion2b_s34b_b88k.safetensors") == "gelu");
  CHECK(activation("open_clip_pytorch_model.bin", "CLIP-ViT-B-32-DataComp.XL-s13B-b90K") == "gelu");
  CHECK(activation("open_clip_model.safetensors", "models--laion--CLIP-ViT-B-16-laion2B-s34B-b88K/snapshots/0a1b") ==
        "gelu");
  CHECK(activation("ViT-B-16-datacomp_xl_s13b_b90k.pt") == "gelu");
  CHECK(activation("ViT-B-16-CommonPool.L.clip-s1B-b8K.bin") == "gelu");
  CHECK(activation("vit_b_32-quickgelu-laion400m_e32-46683a32.pt") == "quick_gelu");
  CHECK(activation("vit_b_16-laion400m_e32-55e67d44.pt") == "gelu");
  CHECK(activation("vit_base_patch16_clip_224.openai.safetensors") == "quick_gelu");
  CHECK(activation("b16_metaclip_fullcc.pt") == "quick_gelu");
  CHECK(activation("m.bin", "DFN2B-CLIP-ViT-L-14") == "quick_gelu");
  CHECK(activation("m.bin", "DFN2B-CLIP-ViT-L-14-39B") == "gelu");
  CHECK(activation("laion2b.pt", "openai") == "gelu");     // the nearest name
  CHECK(activation("openai_or_laion2b.pt") == "nothing");  // contradicts itself
  CHECK(activation("mine.safetensors") == "nothing");
  auto const inception = told("L-14-laion2b_s32b_b82k.safetensors");
  CHECK(inception.settings.pixel_mean == std::array{0.5f, 0.5f, 0.5f});

  auto const unsaid = told("weights.safetensors");
  REQUIRE(unsaid.warnings.size() == 1);
  CHECK(
      contains(unsaid.warnings[0], "nothing says which activation this CLIP was trained with, quick_gelu is assumed"));
  CHECK(unsaid.settings.text_activation == Activation::quick_gelu);

  // OpenAI's own archive and what Kovos writes need no telling.
  auto const archive = told("weights.pt", "clip", "tiny_openai.pt");
  CHECK(archive.activation_from == "OpenAI's archive");
  CHECK(archive.warnings.empty());
  auto const own = with_canonical_names(read_checkpoint(data() / "tiny_clip.safetensors"));
  CHECK(find_clip_settings(own, tiny_clip).activation_from == "Kovos' own names");
  // A configuration of one's own says what is assumed.
  auto exact = tiny_clip;
  exact.activation = Activation::gelu;
  CHECK(find_clip_settings(read_checkpoint(data() / "tiny_clip.safetensors"), exact).settings.image_activation ==
        Activation::gelu);
}

TEST_CASE("a chosen activation replaces what is told; everything else is read as before") {
  Folder const folder;
  auto config = hugging_face_config();
  config["text_config"]["hidden_act"] = "gelu_new";
  folder.write("config.json", config);
  folder.write("preprocessor_config.json", Json{{"image_mean", {0.5, 0.5, 0.5}}});
  auto const weights = read_checkpoint(folder.weights());
  auto const found = find_clip_settings(weights, tiny_clip, Activation::gelu);
  CHECK(found.settings.image_activation == Activation::gelu);
  CHECK(found.settings.text_activation == Activation::gelu);
  CHECK(found.settings.pixel_mean == std::array{0.5f, 0.5f, 0.5f});
  CHECK(found.warnings.empty());
  Folder const alone("tiny_clip.safetensors");
  CHECK(find_clip_settings(read_checkpoint(alone.weights()), tiny_clip, Activation::gelu).warnings.empty());
}

TEST_CASE("each maker's own file comes first, and any file before a name") {
  Folder const f("tiny_hf.safetensors", "laion2b.safetensors");
  f.write("open_clip_config.json", open_clip_config(false));
  CHECK(f.find().settings.image_activation == Activation::gelu);
  f.write("config.json", hugging_face_config());
  CHECK(f.find().settings.image_activation == Activation::quick_gelu);
  Folder const o("tiny_clip.safetensors");
  o.write("config.json", hugging_face_config());
  CHECK(o.find().settings.text_activation == Activation::quick_gelu);
  o.write("open_clip_config.json", open_clip_config(false));
  CHECK(o.find().settings.text_activation == Activation::gelu);
}

TEST_CASE("defaults and older entries of Hugging Face's file") {
  Folder const folder;
  auto config = hugging_face_config();
  for (char const* tower : {"text_config", "vision_config"}) config[tower].erase("hidden_act");
  folder.write("config.json", config);
  CHECK(folder.find().settings.image_activation == Activation::quick_gelu);  // transformers' default
  CHECK(folder.find().warnings.empty());
  config["text_config_dict"] = config["text_config"];
  config["text_config_dict"]["hidden_act"] = "gelu";
  config["vision_config_dict"] = nullptr;
  folder.write("config.json", config);
  CHECK(folder.find().settings.text_activation == Activation::gelu);
  CHECK(folder.find().settings.image_activation == Activation::quick_gelu);
  folder.write("config.json", Json{{"hidden_act", "gelu"}});  // of one tower, at the top
  CHECK(folder.find().settings.image_activation == Activation::gelu);
}

TEST_CASE("numbers beside the weights that Kovos computes otherwise are refused") {
  auto const of_hugging_face = [](char const* tower, char const* key, Json const& value) {
    Folder const folder;
    auto config = hugging_face_config();
    config[tower][key] = value;
    folder.write("config.json", config);
    return folder.refusal();
  };
  CHECK(contains(of_hugging_face("vision_config", "hidden_act", "gelu_new"), "\"hidden_act\" is 'gelu_new'"));
  CHECK(contains(of_hugging_face("text_config", "layer_norm_eps", 1e-6), "\"layer_norm_eps\" is 1e-06"));
  CHECK(contains(of_hugging_face("vision_config", "num_attention_heads", 4),
                 "the image encoder has 4.0 attention heads"));
  CHECK(contains(of_hugging_face("text_config", "num_attention_heads", nullptr), "8.0 attention heads"));
  CHECK(contains(of_hugging_face("text_config", "eos_token_id", 7), "\"eos_token_id\" is 7.0"));
  CHECK(contains(of_hugging_face("text_config", "eos_token_id", "x"), "expected a number"));
  CHECK(of_hugging_face("text_config", "eos_token_id", 2).empty());

  auto const of_open_clip = [](char const* part, char const* key, Json const& value) {
    Folder const folder("tiny_clip.safetensors");
    auto config = open_clip_config(true);
    (part == std::string("preprocess_cfg") ? config[part] : config["model_cfg"][part])[key] = value;
    folder.write("open_clip_config.json", config);
    return folder.refusal();
  };
  CHECK(contains(of_open_clip("vision_cfg", "pool_type", "avg"), "\"pool_type\" is 'avg'"));
  CHECK(contains(of_open_clip("text_cfg", "pool_type", "last"), "expected \"argmax\""));
  CHECK(contains(of_open_clip("text_cfg", "no_causal_mask", true), "causal"));
  for (Json const& value : {Json("yes"), Json(1)}) {  // Python takes both for true
    Folder const folder("tiny_clip.safetensors");
    auto config = open_clip_config(true);
    config["model_cfg"]["quick_gelu"] = value;
    folder.write("open_clip_config.json", config);
    CHECK(contains(folder.refusal(), "\"quick_gelu\" is " + value.dump() + ", expected true or false"));
  }
  CHECK(contains(of_open_clip("vision_cfg", "head_width", 16), "the image encoder has 1.0 attention heads"));
  CHECK(contains(of_open_clip("vision_cfg", "norm_kwargs", {{"eps", 1e-6}}), "layer norms"));
  CHECK(contains(of_open_clip("vision_cfg", "act_kwargs", {{"approximate", "tanh"}}), "act_kwargs"));
  CHECK(contains(of_open_clip("preprocess_cfg", "resize_mode", "squash"), "\"resize_mode\" is 'squash'"));
  CHECK(contains(of_open_clip("preprocess_cfg", "interpolation", "bilinear"), "expected \"bicubic\""));
  CHECK(contains(of_open_clip("preprocess_cfg", "mean", {0.5, 0.5}), "expected three numbers"));
  CHECK(contains(of_open_clip("preprocess_cfg", "std", {0.5, 0, 1}), "three positive numbers"));

  Folder const folder;
  folder.write("config.json", hugging_face_config());
  folder.write("preprocessor_config.json", Json{{"resample", 2}});
  CHECK(contains(folder.refusal(), "\"resample\" is 2.0"));
  folder.write("preprocessor_config.json", Json{{"do_normalize", false}});
  CHECK(contains(folder.refusal(), "\"do_normalize\" is false"));
}

TEST_CASE("a file of another model beside the weights is left aside with a warning") {
  Folder const folder;
  auto config = hugging_face_config();
  config["vision_config"]["hidden_size"] = 768;
  config["vision_config"]["hidden_act"] = "gelu";
  folder.write("config.json", config);
  auto found = folder.find();
  REQUIRE(found.warnings.size() == 2);
  CHECK(contains(found.warnings[0], "describes another model (\"hidden_size\" is 768.0 there, and 16 in the weights)"));
  CHECK(found.settings.image_activation == Activation::quick_gelu);
  folder.write("config.json", Json{{"model_type", "siglip"}});
  CHECK(contains(folder.find().warnings.at(0), "a model of the type 'siglip', not a CLIP"));
  for (std::string const damaged : {"", "{", "[1]", "{\"text_config\": }", "\xff\xfe{}"}) {
    folder.write("config.json", damaged);
    CHECK(contains(folder.find().warnings.at(0), "this is no JSON object"));
  }
  folder.write("config.json", Json{{"name", "of some other program"}});
  CHECK(folder.find().warnings.size() == 1);
  for (auto const& odd : {Json{{"text_config", 3}}, Json{{"vision_config", nullptr}}, Json{{"model_type", "clip"}}}) {
    folder.write("config.json", odd);
    CHECK(contains(folder.refusal(), "attention heads"));  // transformers' default of 12
  }
}

#ifdef KOVOS_HOST_ENGINE
TEST_CASE("every way into a context packs each weight of a CLIP once") {
  using Model = Clip<tiny_clip, float, Kokkos::DefaultHostExecutionSpace>;
  auto const path = data() / "tiny_clip.safetensors";
  auto const file = with_canonical_names(read_checkpoint(path));
  auto const vocabulary = find_vocabulary(path);
  Image const picture{16, 16, std::vector<std::uint8_t>(16 * 16 * 3, 90)};
  auto const encode = [](Model const& model) {
    return model.encode(class_list({"cat", "sky"}), prompt_templates("single"));
  };
  // From here on the words come from the cache, if there is one, for each model alike.
  (void)encode(Model::from_tensors(file, vocabulary));
  // How often something was packed to be kept by the first picture and its words, and by the second.
  auto const packings = [&](Model const& model) {
    auto const run = [&] {
      auto const before = model.context().packed().made();
      (void)model.classify(picture, encode(model));
      return model.context().packed().made() - before;
    };
    std::size_t const first = run();
    return std::pair(first, run());
  };
  auto const loaded = Model::from_tensors(file, vocabulary);
  auto const expected = packings(loaded);
  CHECK(expected.first > 15);
  CHECK(expected.second == 0);
  CHECK(packings(Model::load(path)) == expected);
  CHECK(packings(Model(loaded.model(), Tokenizer(vocabulary))) == expected);
}
#endif
