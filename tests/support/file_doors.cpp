// SPDX-License-Identifier: Apache-2.0
// The doors to files, compiled once for the tests of the rooms without Kokkos and for the fuzz harnesses.
#define KOVOS_BUILDS_DOORS
#include "kovos/io/checkpoint_file.hpp"
#include "kovos/io/image.hpp"
#include "kovos/io/torch_checkpoint_writer.hpp"
#include "kovos/text/embedded_vocabulary.hpp"
#include "kovos/text/word_list.hpp"
