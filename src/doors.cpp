// SPDX-License-Identifier: Apache-2.0
// The functions that are marked KOVOS_COMPILED_ONCE.
#define KOVOS_BUILDS_DOORS
#include "kovos/checkpoint/canonical_names.hpp"
#include "kovos/checkpoint/recognise.hpp"
#include "kovos/clip/settings_beside.hpp"
#include "kovos/data/augmentation.hpp"
#include "kovos/data/scenes.hpp"
#include "kovos/drawing/curves.hpp"
#include "kovos/drawing/overlay.hpp"
#include "kovos/io/checkpoint_file.hpp"
#include "kovos/io/image.hpp"
#include "kovos/io/torch_checkpoint_writer.hpp"
#include "kovos/text/embedded_vocabulary.hpp"
#include "kovos/text/word_list.hpp"
#include "kovos/training/config.hpp"
