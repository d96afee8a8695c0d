// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mpi.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/distribution/communicator.hpp"

namespace kovos {

/// The ranks of an MPI program (component `kovos::mpi`). Pieces of work are handed out by a counter in memory of rank
/// 0. The object initialises MPI and finalises it; there can be one in a process. Used by one thread.
class MpiCommunicator final : public Communicator {
 public:
  /// Throws ConfigError if MPI cannot be initialised or was finalised.
  MpiCommunicator() {
    int initialized = 0, finalized = 0, provided = 0;
    MPI_Initialized(&initialized);
    MPI_Finalized(&finalized);
    require<ConfigError>(!initialized && !finalized,
                         "MPI was initialised before: one communicator is made per process");
    require<ConfigError>(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided) == MPI_SUCCESS,
                         "MPI could not be initialised: check that mpirun belongs to the MPI library of this program");
    int rank = 0, size = 1, on_node = 0, node_rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Comm node = MPI_COMM_NULL;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
    MPI_Comm_rank(node, &node_rank);
    MPI_Comm_size(node, &on_node);
    MPI_Comm_free(&node);
    rank_ = static_cast<std::size_t>(rank);
    size_ = static_cast<std::size_t>(size);
    node_leader_ = node_rank == 0;
    MPI_Win_allocate(rank == 0 ? sizeof(std::int64_t) : 0, sizeof(std::int64_t), MPI_INFO_NULL, MPI_COMM_WORLD,
                     &counter_, &window_);
    if (rank == 0) *counter_ = 0;
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Win_lock_all(0, window_);
    // Between machines a counter answers only while its owner is inside MPI, which a rank that computes is not.
    if (rank == 0 && on_node < size && provided == MPI_THREAD_MULTIPLE) answering_ = std::thread([this] { answer(); });
  }
  MpiCommunicator(MpiCommunicator const&) = delete;
  MpiCommunicator& operator=(MpiCommunicator const&) = delete;
  ~MpiCommunicator() override {
    finished_ = true;
    if (answering_.joinable()) answering_.join();
    MPI_Win_unlock_all(window_);
    MPI_Win_free(&window_);
    MPI_Finalize();
  }

  std::size_t rank() const override { return rank_; }
  std::size_t size() const override { return size_; }
  bool connected() const override { return true; }
  bool node_leader() const override { return node_leader_; }
  std::size_t next() override { return static_cast<std::size_t>(add(1)); }
  void stop() override { add(std::int64_t{1} << 40); }
  [[noreturn]] void abort(int code) override {
    MPI_Abort(MPI_COMM_WORLD, code);
    std::_Exit(code);
  }

  std::vector<std::string> all_gather(std::string const& text) override {
    auto const lengths = lengths_of(text);
    std::vector<int> offsets(size_ + 1, 0);
    for (std::size_t r = 0; r < size_; ++r) offsets[r + 1] = offsets[r] + lengths[r];
    std::string all(static_cast<std::size_t>(offsets.back()), '\0');
    MPI_Allgatherv(text.data(), static_cast<int>(text.size()), MPI_CHAR, all.data(), lengths.data(), offsets.data(),
                   MPI_CHAR, MPI_COMM_WORLD);
    std::vector<std::string> texts;
    for (std::size_t r = 0; r < size_; ++r)
      texts.push_back(all.substr(static_cast<std::size_t>(offsets[r]), static_cast<std::size_t>(lengths[r])));
    return texts;
  }

  std::vector<std::string> gather(std::string const& text) override {
    auto const lengths = lengths_of(text);
    std::vector<std::string> texts;
    if (rank_ > 0) {
      MPI_Send(text.data(), static_cast<int>(text.size()), MPI_CHAR, 0, 0, MPI_COMM_WORLD);
      return texts;
    }
    texts.push_back(text);
    for (std::size_t r = 1; r < size_; ++r) {
      texts.emplace_back(static_cast<std::size_t>(lengths[r]), '\0');
      MPI_Recv(texts.back().data(), lengths[r], MPI_CHAR, static_cast<int>(r), 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    }
    return texts;
  }

 private:
  /// The length of each rank's text. Throws ConfigError on every rank if one is beyond what MPI counts.
  std::vector<int> lengths_of(std::string const& text) {
    int const most = std::numeric_limits<int>::max() / static_cast<int>(size_);
    int const mine = text.size() > static_cast<std::size_t>(most) ? -1 : static_cast<int>(text.size());
    std::vector<int> lengths(size_);
    MPI_Allgather(&mine, 1, MPI_INT, lengths.data(), 1, MPI_INT, MPI_COMM_WORLD);
    for (std::size_t r = 0; r < size_; ++r)
      require<ConfigError>(lengths[r] >= 0, "the results of rank ", r, " are longer than ", most,
                           " bytes, the most that MPI takes at once: write partial results and merge them");
    return lengths;
  }

  std::int64_t add(std::int64_t increment) {
    std::int64_t before = 0;
    MPI_Fetch_and_op(&increment, &before, MPI_INT64_T, 0, 0, MPI_SUM, window_);
    MPI_Win_flush(0, window_);
    return before;
  }

  void answer() {
    while (!finished_) {
      int found = 0;
      MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &found, MPI_STATUS_IGNORE);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  std::size_t rank_ = 0, size_ = 1;
  bool node_leader_ = true;
  std::int64_t* counter_ = nullptr;
  MPI_Win window_ = MPI_WIN_NULL;
  std::atomic<bool> finished_ = false;
  std::thread answering_;
};

}  // namespace kovos
