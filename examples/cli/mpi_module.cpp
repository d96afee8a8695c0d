// SPDX-License-Identifier: Apache-2.0
// The tool's only part that needs MPI; ranks.cpp loads it.

#include <cstddef>
#include <cstdio>
#include <exception>

#include "kovos/distribution/mpi.hpp"

/// A communicator that the caller deletes, or nothing and a sentence.
extern "C" kovos::Communicator* kovos_mpi_communicator(char* sentence, std::size_t size) {
  try {
    return new kovos::MpiCommunicator;
  } catch (std::exception const& error) {
    std::snprintf(sentence, size, "%s", error.what());
    return nullptr;
  }
}
