// SPDX-License-Identifier: Apache-2.0
// The machine's peaks: kovos_peaks [--json FILE]

#include "kovos/kernels/engine/peaks.hpp"
#include "common/table.hpp"

int main(int count, char** values) {
  using namespace kovos;
  Runtime runtime;
  bench::Arguments arguments(count, values);
  auto const json = arguments.option("--json");
  Context<> const context;
  bench::Json record;
  record["benchmark"] = "peaks";
  record["machine"] = bench::machine(context);
  auto const peaks = measure_peaks(context);
  record["peaks"] = {{"fma_gflops", peaks.fma_gflops},
                     {"bf16_gflops", peaks.bf16_gflops},
                     {"isa", peaks.isa},
                     {"copy_gbytes", peaks.copy_gbytes},
                     {"triad_gbytes", peaks.triad_gbytes}};
  bench::print_header({"peak", "measured"});
  bench::print_row(
      {std::string("fp32 multiply-adds in registers, ") + peaks.isa, bench::text("%.0f GFLOP/s", peaks.fma_gflops)});
  if (peaks.bf16_gflops > 0)
    bench::print_row({"bf16 products summed in fp32, in registers", bench::text("%.0f GFLOP/s", peaks.bf16_gflops)});
  bench::print_row({"memory, copy", bench::text("%.1f GB/s", peaks.copy_gbytes)});
  bench::print_row({"memory, c = a + s b", bench::text("%.1f GB/s", peaks.triad_gbytes)});
  bench::print_machine(record["machine"]);
  bench::write_json(json, record);
}
