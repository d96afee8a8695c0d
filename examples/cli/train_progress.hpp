// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <cmath>
#include <cstddef>
#include <cstdio>
#include <string>

#include "kovos/training/log.hpp"
#include "kovos/training/trainer.hpp"

namespace kovos::cli {

/// A bar with loss, throughput, time left and memory where standard error is a terminal; a plain line per log entry
/// elsewhere.
class TrainProgress {
 public:
  TrainProgress(std::size_t steps, std::size_t first)
      : steps_(steps), first_(first), active_(isatty(STDERR_FILENO) != 0) {}

  void show(TrainingStep const& step) {
    loss_ = step.step == first_ + 1 ? step.loss : 0.95 * loss_ + 0.05 * step.loss;
    seconds_ += step.seconds;
    if (!active_) return;
    constexpr std::size_t width = 24;
    std::size_t const filled = width * step.step / steps_;
    std::string const bar = std::string(filled, '#') + std::string(width - filled, '.');
    double const per_step = seconds_ / static_cast<double>(step.step - first_);
    std::fprintf(stderr, "\r\033[K[%s] %zu/%zu  loss %.4f  %.1f pictures/s  %s left  %zu MB", bar.c_str(), step.step,
                 steps_, loss_, static_cast<double>(step.pictures) / per_step,
                 duration(per_step * static_cast<double>(steps_ - step.step)).c_str(), step.peak_bytes >> 20);
    std::fflush(stderr);
  }

  void report(TrainingRecord const& row) {
    bool const scored = !row.metrics.empty() && row.metrics[0];
    if (active_ && !scored) return;
    clear();
    std::fprintf(stderr, "step %zu/%zu  loss %.4f  rate %.2e  gradient %.3g  %.1f pictures/s  %zu MB", row.step, steps_,
                 row.loss, row.learning_rate, row.gradient_norm, row.images_per_second, row.peak_memory_bytes >> 20);
    if (scored) std::fprintf(stderr, "  mIoU %.1f %%", 100 * *row.metrics[0]);
    std::fprintf(stderr, "\n");
  }

  void clear() {
    if (active_) std::fprintf(stderr, "\r\033[K");
  }

 private:
  static std::string duration(double seconds) {
    auto const total = static_cast<long>(std::lround(seconds));
    char text[32];
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", total / 3600, total / 60 % 60, total % 60);
    return text;
  }

  std::size_t steps_, first_;
  bool active_;
  double loss_ = 0, seconds_ = 0;
};

}  // namespace kovos::cli
