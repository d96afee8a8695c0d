// SPDX-License-Identifier: Apache-2.0
// kovos convert IN OUT.safetensors

#include <cstddef>
#include <cstdio>
#include <memory>
#include <string>

#include "command.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/io/checkpoint_file.hpp"
#include "kovos/io/safetensors.hpp"

namespace kovos::cli {

void add_convert(CLI::App& app, Action& action) {
  struct Options {
    std::string in, out;
    bool leave_out = false;
  };
  auto options = std::make_shared<Options>();
  auto* command = app.add_subcommand("convert", "Write any checkpoint Kovos reads as one safetensors file");
  command->add_option("in", options->in, "Checkpoint to read; FILE#ENTRY for another entry than 'model'")->required();
  command->add_option("out", options->out, "safetensors file to write")->required();
  command->add_flag("--leave-out", options->leave_out,
                    "Write the file without the tensors that Kovos cannot hold, instead of refusing");
  command->callback([options, &action] {
    action = [options] {
      if (!options->out.ends_with(".safetensors"))
        throw UsageError("the output '" + options->out +
                         "' must end with .safetensors, the only format convert writes");
      auto file = read_checkpoint(options->in);
      std::string left_out;
      for (auto const& [name, why] : file.left_out) left_out += "\n  " + detail::in_quotes(name) + " " + why;
      if (!left_out.empty() && !options->leave_out)
        fail<CheckpointError>(detail::in_quotes(options->in), " holds what the new file would lack:", left_out,
                              "\nAdd --leave-out to write the rest.");
      if (!left_out.empty()) std::fprintf(stderr, "left out:%s\n", left_out.c_str());
      if (!file.dropped_prefixes.empty()) std::fprintf(stderr, "names without '%s'\n", file.dropped_prefixes.c_str());
      for (auto const& entry : file.other_entries)
        std::fprintf(stderr, "not converted: %s; give the file as %s#%s for it\n", detail::in_quotes(entry).c_str(),
                     options->in.c_str(), entry.c_str());
      file.metadata.try_emplace("format", "pt");
      write_safetensors(options->out, file);
      std::size_t bytes = 0;
      for (auto const& entry : file.tensors) bytes += entry.second.bytes.size();
      std::fprintf(stderr, "%s: %zu tensors, %.1f MB\n", options->out.c_str(), file.tensors.size(),
                   static_cast<double>(bytes) / 1e6);
      return done;
    };
  });
}

}  // namespace kovos::cli
