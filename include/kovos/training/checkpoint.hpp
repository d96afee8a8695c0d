// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <charconv>
#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/io/named_tensors.hpp"
#include "kovos/io/safetensors.hpp"
#include "kovos/io/tensor_bytes.hpp"
#include "kovos/nn/parameter.hpp"
#include "kovos/training/adamw.hpp"
#include "kovos/training/config.hpp"
#include "kovos/training/parameters.hpp"

namespace kovos {

namespace detail {

inline TensorBytes as_bytes(std::vector<float> const& values, std::vector<std::size_t> shape) {
  auto owner = std::make_shared<std::vector<float>>(values);
  TensorBytes bytes;
  bytes.shape = std::move(shape);
  bytes.bytes = std::as_bytes(std::span<float const>(*owner));
  bytes.owner = owner;
  return bytes;
}

template <class Exec, class Flat>
std::vector<float> host_values(Context<Exec> const& context, Flat const& flat, std::size_t offset, std::size_t size) {
  auto const host = to_host(context, flat.slice(offset, size));
  return {host.data(), host.data() + size};
}

}  // namespace detail

namespace detail {

template <class Exec, class References>
std::map<std::string, TensorBytes> model_tensors(Context<Exec> const& context, References const& list,
                                                 TrainedParameters<Exec> const* parameters) {
  using Memory = typename Exec::memory_space;
  std::map<std::string, TensorBytes> tensors;
  for (auto const& parameter : list) {
    if (parameter.empty()) continue;
    auto const values =
        to_host(context, parameter.dtype() == DType::f32 ? copy_of(context, parameter.template flat<float, Memory>())
                                                         : copy_of(context, parameter.template flat<bf16, Memory>()));
    tensors[parameter.name()] =
        as_bytes({values.data(), values.data() + values.size()}, {parameter.shape().begin(), parameter.shape().end()});
  }
  if (parameters)
    for (auto const& entry : parameters->list())
      tensors[entry.name] = as_bytes(host_values(context, parameters->values(), entry.offset, entry.size), entry.shape);
  return tensors;
}

}  // namespace detail

/// All parameters of a network under their official names, fp32: for those in `parameters` the master weights.
template <class Exec, class Network>
std::map<std::string, TensorBytes> model_tensors(Context<Exec> const& context, Network const& network,
                                                 TrainedParameters<Exec> const* parameters = nullptr) {
  return detail::model_tensors(context, parameters_of(network), parameters);
}

/// What a run needs to go on as if it had never stopped, beside the model itself. Data depend on seed and step alone.
struct TrainingState {
  std::size_t step = 0;
  nlohmann::json config;
};

/// The settings that may change between a run and its continuation.
inline bool may_change_on_resume(std::string_view key) {
  return key == "log_every" || key == "checkpoint_every" || key == "evaluate_every" || key == "validation_pictures" ||
         key == "initial" || key == "recompute" || key == "unreadable";
}

namespace detail {

template <class Exec>
void add_training_state(NamedTensors& file, Context<Exec> const& context, TrainedParameters<Exec> const& parameters,
                        AdamW<Exec> const& optimizer, TrainingConfig const& config, std::size_t step) {
  for (auto const& entry : parameters.list()) {
    file.tensors["training.exp_avg." + entry.name] =
        as_bytes(host_values(context, optimizer.exp_avg(), entry.offset, entry.size), entry.shape);
    file.tensors["training.exp_avg_sq." + entry.name] =
        as_bytes(host_values(context, optimizer.exp_avg_sq(), entry.offset, entry.size), entry.shape);
  }
  file.metadata["kovos.training.step"] = std::to_string(step);
  file.metadata["kovos.training.config"] = config.to_json().dump();
}

}  // namespace detail

/// A training checkpoint: the model's tensors under their official keys, the optimiser's as "training.exp_avg.KEY" and
/// "training.exp_avg_sq.KEY", step and settings in the metadata.
template <class Exec, class Network>
NamedTensors training_checkpoint(Context<Exec> const& context, Network const& network,
                                 TrainedParameters<Exec> const& parameters, AdamW<Exec> const& optimizer,
                                 TrainingConfig const& config, std::size_t step) {
  NamedTensors file;
  file.tensors = model_tensors(context, network, &parameters);
  detail::add_training_state(file, context, parameters, optimizer, config, step);
  return file;
}

/// Brings parameters and optimiser to the state of a checkpoint and returns its step. Throws CheckpointError, naming
/// the difference, if the checkpoint is of another run: other settings, other parameters.
template <class Exec>
std::size_t restore_training(Context<Exec> const& context, NamedTensors const& file,
                             TrainedParameters<Exec> const& parameters, AdamW<Exec>& optimizer,
                             TrainingConfig const& config) {
  auto const text = file.metadata.find("kovos.training.config");
  auto const count = file.metadata.find("kovos.training.step");
  require<CheckpointError>(
      text != file.metadata.end() && count != file.metadata.end(), file.source,
      ": this file holds no training state to resume from; give it as \"initial\" to start from its "
      "weights");
  auto const stored = nlohmann::json::parse(text->second, nullptr, false);
  // A setting that the run did not have yet is what it would have been without it: its default.
  auto settings = stored.is_object() ? TrainingConfig{}.to_json() : nlohmann::ordered_json::object();
  if (stored.is_object()) settings.update(nlohmann::ordered_json(stored));
  auto const wanted = config.to_json();
  for (auto const& [key, value] : wanted.items()) {
    if (may_change_on_resume(key)) continue;
    auto const before = settings.contains(key) ? settings.at(key).dump() : std::string("nothing");
    require<CheckpointError>(before == value.dump(), file.source, ": the run that wrote this checkpoint had ",
                             detail::in_quotes(key), " = ", before, ", this one has ", value.dump(),
                             "; resume with its settings, or start a new run with it as \"initial\"");
  }
  using Flat = typename TrainedParameters<Exec>::Flat;
  auto const put = [&](std::string const& name, TrainedParameter const& entry, Flat const& flat) {
    auto const found = file.tensors.find(name);
    require<CheckpointError>(found != file.tensors.end(), file.source, ": ", detail::in_quotes(name), " is missing");
    require<CheckpointError>(found->second.shape == entry.shape, file.source, ": ", detail::in_quotes(name),
                             " has another shape than the model; it belongs to another configuration");
    auto const values = to_float(found->second);
    Tensor<float, dynamic_extents<1>> host(dynamic_extents<1>{values.size()});
    std::copy(values.begin(), values.end(), host.data());
    assign(context, flat.slice(entry.offset, entry.size), to_device(context, host));
  };
  for (auto const& entry : parameters.list()) {
    put(entry.name, entry, parameters.values());
    put("training.exp_avg." + entry.name, entry, optimizer.exp_avg());
    put("training.exp_avg_sq." + entry.name, entry, optimizer.exp_avg_sq());
  }
  std::size_t step = 0;
  auto const& digits = count->second;
  auto const [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), step);
  require<CheckpointError>(error == std::errc{} && end == digits.data() + digits.size(), file.source, ": the step ",
                           detail::in_quotes(digits), " is not a number");
  parameters.publish();
  optimizer.set_steps(step);
  return step;
}

}  // namespace kovos
