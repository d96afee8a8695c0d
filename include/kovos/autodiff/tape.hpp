// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/core/workspace.hpp"
#include "kovos/kernels/elementwise.hpp"

namespace kovos {

/// What happens to the intermediates of a block of layers between the forward and the backward pass.
enum class Recompute : std::uint8_t {
  nothing,  ///< kept: fastest, memory grows with the depth
  blocks,   ///< dropped and computed again: one more forward pass, memory of one block at a time
};

namespace detail {

/// The gradient of one block of memory, element by element; allocated and zeroed when the first contribution arrives.
template <class Memory>
struct Shadow {
  std::size_t size = 0;
  DynamicTensor<float, 1, Memory> values;
};

/// Which memory has a gradient. Blocks are found by address, so that slices, reshapes and matrices with strides share
/// the gradient of the block they point into.
template <class Memory>
class ShadowMap {
 public:
  struct Block {
    std::byte const* begin = nullptr;
    std::size_t bytes = 0;
    std::size_t element_size = sizeof(float);
    std::shared_ptr<Shadow<Memory>> shadow;  // empty: nothing trainable has flowed into it
    std::weak_ptr<void const> memory;        // empty for parameters, which their module keeps
    std::size_t version = 0;                 // counts the overwriting steps
  };

  /// The block that holds this address, or nullptr.
  Block* find(void const* address) {
    if (address == nullptr) return nullptr;
    auto const* const p = static_cast<std::byte const*>(address);
    auto next = blocks_.upper_bound(p);
    if (next == blocks_.begin()) return nullptr;
    auto& block = std::prev(next)->second;
    return p < block.begin + block.bytes ? &block : nullptr;
  }
  Block& insert(void const* begin, std::size_t bytes, std::size_t element_size) {
    auto const* const p = static_cast<std::byte const*>(begin);
    auto& block = blocks_[p];
    block = {p, bytes, element_size, {}, {}, 0};
    return block;
  }
  void erase(void const* begin) { blocks_.erase(static_cast<std::byte const*>(begin)); }

 private:
  std::map<std::byte const*, Block> blocks_;
};

}  // namespace detail

/// The gradient of a tensor, or of the place in a block that a pointer names. Converts to false if nothing trainable
/// flows into that block.
template <class Memory>
class Gradient {
 public:
  Gradient() = default;
  Gradient(std::shared_ptr<detail::Shadow<Memory>> shadow, std::size_t offset)
      : shadow_(std::move(shadow)), offset_(offset) {}

  explicit operator bool() const { return shadow_ != nullptr; }

  /// Where a rule adds its contribution; zero at first.
  template <class Exec>
  float* accumulate(Context<Exec> const& context) const {
    auto& values = shadow_->values;
    if (values.empty()) {
      values = context.template tensor<float>(shadow_->size);
      fill(context, values, 0.0f);
    }
    return values.data() + offset_;
  }

  /// What has arrived so far; nullptr if nothing has.
  float* values() const { return shadow_->values.empty() ? nullptr : shadow_->values.data() + offset_; }

  /// Continues with the gradient of another block of the same size.
  void share(Gradient const& other) const { shadow_->values = other.shadow_->values; }

 private:
  std::shared_ptr<detail::Shadow<Memory>> shadow_;
  std::size_t offset_ = 0;
};

namespace detail {
/// Where to add to a gradient, or nullptr if it is not wanted.
template <class Memory, class Exec>
float* wanted(Gradient<Memory> const& gradient, Context<Exec> const& context) {
  return gradient ? gradient.accumulate(context) : nullptr;
}
}  // namespace detail

/// Reverse-mode differentiation. A layer run in a Tape instead of a Context computes the same numbers, and each kernel
/// notes what its gradient rule needs; `backward` then runs the rules from the last to the first. The gradient of a
/// tensor belongs to its memory: whatever points into watched memory is differentiated, and what depends on nothing
/// watched is not recorded at all. A kernel without a rule does not compile here.
/// Tensors that the caller passes in must live until `backward`. One tape may be used by one thread at a time.
template <class Exec = Kokkos::DefaultExecutionSpace, Recompute Policy = Recompute::nothing>
class Tape {
 public:
  using execution_space = Exec;
  using memory_space = typename Exec::memory_space;
  using gradient_type = Gradient<memory_space>;
  static constexpr bool in_place = false;

  explicit Tape(Context<Exec> context)
      : context_(std::move(context)), map_(std::make_shared<detail::ShadowMap<memory_space>>()) {}
  Tape(Tape const&) = delete;
  Tape& operator=(Tape const&) = delete;

  Context<Exec> const& context() const { return context_; }
  Exec const& exec() const { return context_.exec(); }
  Engine engine() const { return context_.engine(); }
  void fence() const { context_.fence(); }

  /// Differentiates with respect to a tensor; its gradient is added to `gradient` (as many elements) by each backward.
  template <tensor_like X>
  void watch(X const& x, DynamicTensor<float, 1, memory_space> const& gradient) const {
    require<ShapeError>(gradient.size() == x.size(), "[Tape::watch] a tensor of ", x.size(),
                        " elements cannot have a gradient of ", gradient.size());
    if (x.size() == 0) return;
    using T = typename X::value_type;
    auto& block = map_->insert(x.data(), x.size() * sizeof(T), sizeof(T));
    block.shadow = std::make_shared<detail::Shadow<memory_space>>(detail::Shadow<memory_space>{x.size(), gradient});
  }

  /// Runs the rules from the last step to the first, starting with d loss / d loss = `seed`, and forgets the steps.
  /// loss: one element. Throws ConfigError if the loss depends on nothing that is watched.
  template <class Shape>
  void backward(Tensor<float, Shape, memory_space> const& loss, float seed = 1) const {
    require_extent("Tape::backward", "the loss", loss.size(), 1);
    auto const gradient = gradient_of(loss.data());
    require<ConfigError>(bool(gradient), "[Tape::backward] the loss depends on nothing that is watched");
    DynamicTensor<float, 1, memory_space> const start(gradient.accumulate(context_), dynamic_extents<1>{1}, nullptr);
    fill(context_, start, seed);
    while (!steps_.empty()) {
      auto const step = std::move(steps_.back());
      steps_.pop_back();
      if (step.output.values() == nullptr) continue;
      for (auto const& kept : step.kept) check(kept);
      step.rule(*this, step.output.values());
    }
  }

  /// Forgets the steps without running them.
  void clear() const { steps_.clear(); }

  /// Number of steps recorded and not yet run.
  std::size_t size() const { return steps_.size(); }

  // ---- for gradient rules -------------------------------------------------------------------------------------

  /// An uninitialised intermediate tensor that can have a gradient.
  template <class T, class... I>
  DynamicTensor<T, sizeof...(I), memory_space> tensor(I... extents) const {
    return adopt(context_.template tensor<T>(extents...));
  }

  /// Lets the result of a kernel have a gradient.
  template <class T, class Shape>
  Tensor<T, Shape, memory_space> adopt(Tensor<T, Shape, memory_space> const& x) const {
    if (x.size() == 0 || map_->find(x.data()) != nullptr) return x;
    std::shared_ptr<void const> owner(x.data(), [map = map_, memory = x.owner()](void const* p) { map->erase(p); });
    map_->insert(x.data(), x.size() * sizeof(T), sizeof(T)).memory = owner;
    return {x.data(), x.extents(), owner};
  }

  /// The gradient of the memory at this address, if it has one.
  gradient_type gradient_of(void const* address) const {
    auto const* const block = map_->find(address);
    if (block == nullptr || !block->shadow) return {};
    auto const offset = static_cast<std::size_t>(static_cast<std::byte const*>(address) - block->begin);
    return {block->shadow, offset / block->element_size};
  }

  /// Says that a step overwrites this memory: steps before it that have read it can no longer be differentiated.
  void overwritten(void const* address) const {
    if (auto* const block = map_->find(address)) ++block->version;
  }

  /// Notes a step that has written `output` from memory with the gradients `inputs`, and needs the values of `kept`
  /// again. rule(tape, dy), where dy is the gradient of `output`, adds to the gradients of the inputs. Nothing is noted
  /// if no input has a gradient.
  template <class Rule>
  void record(void const* output, std::initializer_list<gradient_type> inputs, std::initializer_list<void const*> kept,
              Rule rule) const {
    bool active = false;
    for (auto const& input : inputs) active = active || bool(input);
    if (!active || output == nullptr) return;
    activate(output);
    if (probing_) return;
    Step step{gradient_of(output), {}, std::move(rule)};
    for (auto const* address : kept) step.kept.push_back(keep(address));
    steps_.push_back(std::move(step));
  }

  /// Runs a block of layers: f(context, x). With Recompute::blocks it is run again for the gradient instead of keeping
  /// its intermediates. f must hold by value whatever it needs beside parameters.
  template <class F, class V>
  auto recompute(F const& f, V const& x) const {
    if constexpr (Policy == Recompute::nothing) {
      return f(*this, x);
    } else {
      if (probing_) return f(*this, x);
      probing_ = true;
      auto const y = [&] {
        try {
          return f(*this, x);
        } catch (...) {
          probing_ = false;
          throw;
        }
      }();
      probing_ = false;
      auto const gradient = gradient_of(y.data());
      if (!gradient) return y;
      record(y.data(), {gradient}, {x.data()}, [f, x, gradient](Tape const& tape, float const*) {
        auto const again = f(tape, x);
        tape.gradient_of(again.data()).share(gradient);
      });
      return y;
    }
  }

 private:
  struct Kept {
    std::shared_ptr<void const> memory;
    std::byte const* begin = nullptr;
    std::size_t version = 0;
  };
  struct Step {
    gradient_type output;
    std::vector<Kept> kept;
    std::function<void(Tape const&, float*)> rule;
  };

  void activate(void const* address) const {
    auto* const block = map_->find(address);
    require<GradientError>(block != nullptr, "[Tape] a gradient rule wrote into memory that the tape does not know");
    if (block->shadow) return;
    block->shadow = std::make_shared<detail::Shadow<memory_space>>();
    block->shadow->size = block->bytes / block->element_size;
  }

  Kept keep(void const* address) const {
    auto const* const block = map_->find(address);
    if (block == nullptr) return {};
    return {block->memory.lock(), block->begin, block->version};
  }

  void check(Kept const& kept) const {
    if (kept.begin == nullptr) return;
    auto const* const block = map_->find(kept.begin);
    require<GradientError>(block != nullptr && block->version == kept.version,
                           "[Tape::backward] a tensor was overwritten after a step that needs it for its gradient");
  }

  Context<Exec> context_;
  std::shared_ptr<detail::ShadowMap<memory_space>> map_;
  mutable std::vector<Step> steps_;
  mutable bool probing_ = false;
};

}  // namespace kovos
