// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>

#include "kovos/autodiff/tape.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/training/adamw.hpp"
#include "kovos/training/checkpoint.hpp"
#include "kovos/training/config.hpp"
#include "kovos/training/parameters.hpp"
#include "kovos/training/schedule.hpp"

namespace kovos {

/// What is known after each step.
struct TrainingStep {
  std::size_t step = 0;  ///< steps done
  double loss = 0;
  double learning_rate = 0;
  double gradient_norm = 0;  ///< before clipping
  double seconds = 0;        ///< wall time of the step
  std::size_t pictures = 0;
  std::size_t peak_bytes = 0;  ///< of the workspace, so far
};

/// What a run learns: a network, who of it is trained, and a loss. loss(tape, index) is that of batch number `index`,
/// which depends on the index and the run's seed alone: so a run can be continued from any step.
template <class Task, class Exec>
concept TrainingTask = requires(Task& task, std::string const& name, ParameterRole role, Tape<Exec> const& tape,
                                TrainedParameters<Exec> const& parameters, std::size_t index) {
  task.network();
  { task.rule(name, role) } -> std::convertible_to<std::optional<ParameterRule>>;
  task.loss(tape, index);
  task.after_step(parameters);
};

/// Minimises a task's loss with AdamW and the cosine schedule.
template <class Task, class Exec = Kokkos::DefaultExecutionSpace, Recompute Policy = Recompute::nothing>
requires TrainingTask<Task, Exec>
class Trainer {
 public:
  Trainer(Context<Exec> const& context, Task& task, TrainingConfig config)
      : context_(context),
        task_(task),
        config_(std::move(config)),
        parameters_(context_, task_.network(),
                    [&](std::string const& name, ParameterRole role) { return task_.rule(name, role); }),
        optimizer_(context_,
                   AdamWConfig{config_.learning_rate, config_.beta1, config_.beta2, config_.epsilon,
                               config_.max_gradient_norm},
                   parameters_),
        schedule_{.steps = config_.steps, .warmup_steps = config_.warmup_steps, .end_factor = config_.end_factor} {
    require<ConfigError>(!parameters_.list().empty(), "[Trainer] with these settings nothing is trained");
  }

  TrainedParameters<Exec> const& parameters() const { return parameters_; }
  TrainingConfig const& config() const { return config_; }
  std::size_t steps_done() const { return step_; }

  /// One step: the mean gradient of `accumulation` batches, clipped, and AdamW. Throws GradientError if the loss or a
  /// gradient is not finite; nothing has changed then.
  TrainingStep step() {
    auto const start = std::chrono::steady_clock::now();
    parameters_.clear_gradients();
    double loss = 0;
    double const share = 1.0 / static_cast<double>(config_.accumulation);
    for (std::size_t i = 0; i < config_.accumulation; ++i) {
      Tape<Exec, Policy> tape(context_);
      parameters_.watch(tape);
      auto const part = task_.loss(tape, step_ * config_.accumulation + i);
      loss += share * static_cast<double>(to_host(context_, part).data()[0]);
      require<GradientError>(std::isfinite(loss), "the loss of step ", step_ + 1, " is not a finite number", advice());
      tape.backward(part, static_cast<float>(share));
    }
    double const multiplier = schedule_(step_);
    double const norm = optimizer_.step(parameters_, multiplier);
    require<GradientError>(std::isfinite(norm), "the gradient of step ", step_ + 1, " is not finite", advice());
    task_.after_step(parameters_);
    ++step_;
    TrainingStep done;
    done.step = step_;
    done.loss = loss;
    done.learning_rate = config_.learning_rate * multiplier;
    done.gradient_norm = norm;
    done.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    done.pictures = config_.batch_size * config_.accumulation;
    done.peak_bytes = context_.workspace().peak_bytes();
    return done;
  }

  bool finished() const { return step_ >= config_.steps; }

  NamedTensors checkpoint() {
    return training_checkpoint(context_, task_.network(), parameters_, optimizer_, config_, step_);
  }
  /// Continues from a checkpoint. Throws CheckpointError if it is of another run.
  void restore(NamedTensors const& file) { step_ = restore_training(context_, file, parameters_, optimizer_, config_); }

 private:
  static char const* advice() {
    return "; the last checkpoint is unharmed: give it as \"initial\" to a new run with a smaller learning rate or "
           "stronger clipping";
  }

  Context<Exec> context_;
  Task& task_;
  TrainingConfig config_;
  TrainedParameters<Exec> parameters_;
  AdamW<Exec> optimizer_;
  CosineSchedule schedule_;
  std::size_t step_ = 0;
};

}  // namespace kovos
