// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kovos/checkpoint/canonical_names.hpp"
#include "kovos/checkpoint/layouts.hpp"
#include "kovos/checkpoint/recognise.hpp"
#include "kovos/clip/architecture.hpp"
#include "kovos/io/checkpoint_file.hpp"
#include "kovos/segmentation/cat_seg.hpp"
#include "kovos/segmentation/cat_seg_config.hpp"
#include "kovos/segmentation/cat_seg_presets.hpp"
#include "kovos/text/embedded_vocabulary.hpp"

namespace kovos {

/// What a CAT-Seg checkpoint is, told by its shapes.
struct CatSegShape {
  ClipShape clip;
  std::size_t num_templates = 0, hidden_dim = 0, num_layers = 0;
  std::size_t appearance_guidance_dim = 0, text_guidance_dim = 0;

  bool operator==(CatSegShape const&) const = default;
};

/// The shapes that a checkpoint of a configuration has.
constexpr CatSegShape shape_of(CatSegConfig const& c) {
  return {shape_of(c.clip), c.num_templates,           c.hidden_dim,
          c.num_layers,     c.appearance_guidance_dim, c.text_guidance_dim};
}

/// Reads the geometry off a file with canonical names.
inline CatSegShape cat_seg_shape(NamedTensors const& file) {
  std::string const head(cat_seg_head_prefix);
  CatSegShape s;
  s.clip = clip_shape(file, std::string(cat_seg_clip_prefix));
  s.num_templates = detail::extent_of(file, head + "conv1.weight", 1);
  s.hidden_dim = detail::extent_of(file, head + "conv1.weight", 0);
  s.num_layers = detail::count_layers(file, head + "layers.");
  s.appearance_guidance_dim = detail::extent_of(file, head + "guidance_projection.0.weight", 0);
  s.text_guidance_dim = detail::extent_of(file, head + "text_guidance_projection.0.weight", 0);
  return s;
}

/// Calls f.template operator()<Config>(name) for the first preset of a list that a file fits; whether there is one.
/// file: under canonical names.
template <auto const& Presets = cat_seg_presets, class F>
bool visit_cat_seg_preset(NamedTensors const& file, F const& f) {
  auto const shape = cat_seg_shape(file);
  auto const fits_file = [&]<CatSegConfig Config>() {
    auto same = shape_of(Config);
    same.clip = shape.clip;  // which its own test compares
    return shape == same && fits<Config.clip>(shape.clip, file, std::string(cat_seg_clip_prefix));
  };
  return visit_first_preset<Presets>(fits_file, f);
}

/// A CAT-Seg model whose preset was chosen at run time from its checkpoint.
template <class Exec = Kokkos::DefaultExecutionSpace>
class AnyModel {
 public:
  using Words = EncodedWords<typename Exec::memory_space>;

  /// bf16: the image encoder's matrices are stored so, and all products may be (MatmulPrecision).
  enum class Precision { fp32, bf16 };

  /// Reads a checkpoint and picks the preset its shapes fit, of a list that may be one's own (with_presets). Throws
  /// FileError, CheckpointError or TextError.
  template <auto const& Presets = cat_seg_presets>
  static AnyModel load(std::filesystem::path const& weights,
                       std::optional<std::filesystem::path> const& vocabulary = {},
                       Precision precision = Precision::fp32, Context<Exec> context = {});

  std::string_view preset() const { return model_->preset(); }
  CatSegConfig const& config() const { return model_->config(); }
  Words encode(ClassList const& classes, PromptTemplates const& templates = prompt_templates("single")) const {
    return model_->encode(classes, templates);
  }
  Segmentation segment(Image const& picture, Words const& words, SegmentOptions const& options = {}) const {
    return model_->segment(picture, words, options);
  }
  /// See CatSeg::grid_scores.
  DynamicTensor<float, 4, typename Exec::memory_space> grid_scores(Image const& picture, Words const& words,
                                                                   SegmentOptions const& options = {},
                                                                   StageTimes* times = nullptr) const {
    return model_->grid_scores(picture, words, options, times);
  }
  /// See CatSeg::save_packed.
  bool save_packed() const { return model_->save_packed(); }
  Context<Exec> const& context() const { return model_->context(); }

 private:
  struct Interface {
    virtual ~Interface() = default;
    virtual std::string_view preset() const = 0;
    virtual CatSegConfig const& config() const = 0;
    virtual Words encode(ClassList const&, PromptTemplates const&) const = 0;
    virtual Segmentation segment(Image const&, Words const&, SegmentOptions const&) const = 0;
    virtual DynamicTensor<float, 4, typename Exec::memory_space> grid_scores(Image const&, Words const&,
                                                                             SegmentOptions const&,
                                                                             StageTimes*) const = 0;
    virtual bool save_packed() const = 0;
    virtual Context<Exec> const& context() const = 0;
  };

  template <class Model>
  struct Holder final : Interface {
    Holder(std::string_view n, Model m) : name(n), model(std::move(m)) {}
    std::string_view preset() const override { return name; }
    CatSegConfig const& config() const override { return Model::config; }
    Words encode(ClassList const& c, PromptTemplates const& t) const override { return model.encode(c, t); }
    Segmentation segment(Image const& p, Words const& w, SegmentOptions const& o) const override {
      return model.segment(p, w, o);
    }
    DynamicTensor<float, 4, typename Exec::memory_space> grid_scores(Image const& p, Words const& w,
                                                                     SegmentOptions const& o,
                                                                     StageTimes* t) const override {
      return model.grid_scores(p, w, o, t);
    }
    bool save_packed() const override { return model.save_packed(); }
    Context<Exec> const& context() const override { return model.context(); }
    std::string_view name;
    Model model;
  };

  template <class Model>
  AnyModel(std::string_view preset, Model model) : model_(std::make_shared<Holder<Model>>(preset, std::move(model))) {}

  std::shared_ptr<Interface const> model_;
};

template <class Exec>
template <auto const& Presets>
AnyModel<Exec> AnyModel<Exec>::load(std::filesystem::path const& weights,
                                    std::optional<std::filesystem::path> const& vocabulary, Precision precision,
                                    Context<Exec> context) {
  auto const read = read_checkpoint(weights);
  auto const file = with_canonical_names(read);
  auto const found = recognise(file);
  require<CheckpointError>(found.layout == &cat_seg_layout, weights.string(), ": this is ", describe_model(read),
                           " without CAT-Seg's head, which cannot segment; ",
                           found.complete() ? "`kovos classify` uses it, or " : "", "give a CAT-Seg checkpoint");
  auto const shape = cat_seg_shape(file);
  std::optional<AnyModel> model;
  visit_cat_seg_preset<Presets>(file, [&]<CatSegConfig Config>(std::string_view name) {
    auto words = find_vocabulary(file, weights, vocabulary);
    if (precision == Precision::bf16)
      model = AnyModel(name, CatSeg<Config, bf16, Exec>::from_tensors(file, std::move(words),
                                                                      context.with_precision(MatmulPrecision::bf16)));
    else model = AnyModel(name, CatSeg<Config, float, Exec>::from_tensors(file, std::move(words), std::move(context)));
  });
  if (model) return std::move(*model);
  fail<CheckpointError>(weights.string(), ": no preset has this geometry (", shape.clip.to_string(), "; head ",
                        shape.hidden_dim, " wide, ", shape.num_layers, " layers, ", shape.num_templates,
                        " templates); instantiate kovos::CatSeg with a configuration of your own for it");
}

#ifdef KOVOS_LINKS_MODELS
extern template AnyModel<> AnyModel<>::load<cat_seg_presets>(std::filesystem::path const&,
                                                             std::optional<std::filesystem::path> const&, Precision,
                                                             Context<>);
#endif

}  // namespace kovos
