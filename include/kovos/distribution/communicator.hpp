// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdlib>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "kovos/distribution/ranks.hpp"

namespace kovos {

/// What processes that share one work ask of each other. Every rank makes the same collective calls in the same order.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual std::size_t rank() const = 0;
  virtual std::size_t size() const = 0;
  /// Whether the ranks hear each other: otherwise gather() and all_gather() bring this rank's own text only.
  virtual bool connected() const = 0;
  /// Whether this is the rank of its machine that reads shared files first.
  virtual bool node_leader() const = 0;
  /// The next piece of the shared work; every number comes to one rank once. After stop(), numbers beyond any work.
  virtual std::size_t next() = 0;
  /// No rank begins another piece.
  virtual void stop() = 0;
  /// The texts of all ranks, in their order, on each. Collective.
  virtual std::vector<std::string> all_gather(std::string const& text) = 0;
  /// The texts of all ranks, in their order, on rank 0; nothing on the others. Collective.
  virtual std::vector<std::string> gather(std::string const& text) = 0;
  /// Ends all ranks at once: for an error that the others do not know of.
  [[noreturn]] virtual void abort(int code) = 0;
};

/// A process alone, or one of several that cannot talk: piece i belongs to rank i % size.
class StaticShares final : public Communicator {
 public:
  explicit StaticShares(Ranks ranks = {}) : ranks_(std::move(ranks)), next_(ranks_.rank) {}

  std::size_t rank() const override { return ranks_.rank; }
  std::size_t size() const override { return ranks_.size; }
  bool connected() const override { return ranks_.size == 1; }
  bool node_leader() const override { return true; }
  std::size_t next() override {
    if (stopped_) return std::numeric_limits<std::size_t>::max();
    return std::exchange(next_, next_ + ranks_.size);
  }
  void stop() override { stopped_ = true; }
  std::vector<std::string> all_gather(std::string const& text) override { return {text}; }
  std::vector<std::string> gather(std::string const& text) override { return {text}; }
  [[noreturn]] void abort(int code) override { std::_Exit(code); }

 private:
  Ranks ranks_;
  std::size_t next_;
  bool stopped_ = false;
};

}  // namespace kovos
