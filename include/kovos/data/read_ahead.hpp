// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "kovos/core/error.hpp"

namespace kovos {

/// Loads what was asked for on threads of its own while the caller works, and hands it out in the order of asking. What
/// is in memory is at most what was asked for and not yet taken. ask, pending and take belong to one thread.
template <class T>
class ReadAhead {
 public:
  /// `load` is called from all threads at once if there are several. Throws ConfigError for no threads.
  explicit ReadAhead(std::function<T(std::size_t)> load, std::size_t threads = 1) : load_(std::move(load)) {
    require<ConfigError>(threads >= 1, "reading ahead needs at least one thread, got 0");
    for (std::size_t t = 0; t < threads; ++t) threads_.emplace_back([this] { work(); });
  }

  /// What is being loaded is finished, what was only asked for is not begun.
  ~ReadAhead() {
    {
      std::lock_guard const lock(mutex_);
      stop_ = true;
    }
    asked_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  ReadAhead(ReadAhead const&) = delete;
  ReadAhead& operator=(ReadAhead const&) = delete;

  /// Asks for load(i).
  void ask(std::size_t i) {
    {
      std::lock_guard const lock(mutex_);
      order_.push_back(std::make_shared<Item>(i));
      waiting_.push_back(order_.back());
    }
    asked_.notify_one();
  }

  /// How many were asked for and not yet taken.
  std::size_t pending() const {
    std::lock_guard const lock(mutex_);
    return order_.size();
  }

  /// The oldest that was asked for; waits until it is loaded. Throws what its load threw: it then counts as taken, and
  /// those after it are not touched. Throws ConfigError if nothing is pending.
  T take() {
    std::unique_lock lock(mutex_);
    require<ConfigError>(!order_.empty(), "nothing was asked for that could be taken: call ask first");
    auto const item = order_.front();
    loaded_.wait(lock, [&] { return item->value || item->error; });
    order_.pop_front();
    if (item->error) std::rethrow_exception(item->error);
    return std::move(*item->value);
  }

 private:
  struct Item {
    explicit Item(std::size_t i) : index(i) {}
    std::size_t index;
    std::optional<T> value;
    std::exception_ptr error;
  };

  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      asked_.wait(lock, [&] { return stop_ || !waiting_.empty(); });
      if (stop_) return;
      auto const item = waiting_.front();
      waiting_.pop_front();
      lock.unlock();
      std::optional<T> value;
      std::exception_ptr error;
      try {
        value.emplace(load_(item->index));
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      item->value = std::move(value);
      item->error = error;
      loaded_.notify_one();
    }
  }

  std::function<T(std::size_t)> load_;
  mutable std::mutex mutex_;
  std::condition_variable asked_, loaded_;
  std::deque<std::shared_ptr<Item>> order_, waiting_;
  bool stop_ = false;
  std::vector<std::thread> threads_;  // last: they use all of the above
};

/// Calls use(i, load(i)) for i = 0 ... count - 1 in order, with up to `ahead` of them loaded or being loaded before
/// their turn. Throws what load or use throws, at that i; ConfigError if ahead or threads is 0.
template <class Load, class Use>
void for_each_read_ahead(std::size_t count, Load load, Use&& use, std::size_t ahead = 2, std::size_t threads = 1) {
  require<ConfigError>(ahead >= 1, "reading ahead needs room for at least one, got 0");
  using T = decltype(load(std::size_t{}));
  ReadAhead<T> reader(std::move(load), threads);
  std::size_t asked = 0;
  for (std::size_t i = 0; i < count; ++i) {
    while (asked < count && asked <= i + ahead - 1) reader.ask(asked++);
    T item = reader.take();
    if (asked < count) reader.ask(asked++);  // while this one is used
    use(i, std::move(item));
  }
}

}  // namespace kovos
