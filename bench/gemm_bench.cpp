// SPDX-License-Identifier: Apache-2.0
// Matrix products of the shapes CAT-Seg has, ours beside others, in alternation:
//   kovos_gemm_bench [--rounds 15] [--json FILE]
// Ours: the portable engine (small shapes only, it is the definition and not the fast one), the Eigen engine, the
// oneDNN engine if it is compiled in, the host engine with each instruction set. Others: Eigen itself on all threads,
// as this program was compiled (-DKOVOS_NATIVE=ON for its best), OpenBLAS and oneDNN if their libraries are found
// ($KOVOS_OPENBLAS and $KOVOS_ONEDNN name them).

#include <dlfcn.h>

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "common/measure.hpp"
#include "common/table.hpp"
#include "kovos/kernels/engine/peaks.hpp"
#include "kovos/kernels/gemm.hpp"

namespace {

using namespace kovos;
using bench::Json;
using Exec = Kokkos::DefaultHostExecutionSpace;

struct Shape {
  char const* where;
  std::size_t m, k, n;
};
constexpr Shape shapes[] = {
    {"B image mlp, 5 views", 2885, 768, 3072},   {"B image mlp back", 2885, 3072, 768},
    {"B image projection", 2885, 768, 768},      {"L image mlp, 5 views", 2885, 1024, 4096},
    {"B text mlp, 150 words", 1650, 512, 2048},  {"Swin projection, 8 classes", 4608, 128, 128},
    {"Swin mlp, 8 classes", 4608, 128, 512},     {"Swin mlp back", 4608, 512, 128},
    {"cost volume, 150 classes", 150, 512, 576},
};

struct Contender {
  std::string name;
  std::function<void(Shape const&, float const*, float const*, float*)> product;  // row-major, C = A B
  std::vector<double> times{};
};

void* open_first(char const* variable, std::vector<std::string> names, std::string& found) {
  if (char const* given = std::getenv(variable)) names.insert(names.begin(), given);
  for (auto const& name : names)
    if (void* const library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL)) {
      found = name.substr(name.rfind('/') + 1);
      return library;
    }
  return nullptr;
}

std::vector<Contender> contenders() {
  std::vector<Contender> list;
  auto const ours = [](Engine engine) {
    return [context = Context<Exec>(Exec(), engine)](Shape const& s, float const* a, float const* b, float* c) {
      gemm(context, Matrix<float const>{a, s.m, s.k, s.k, 1}, Matrix<float const>{b, s.k, s.n, s.n, 1},
           Matrix<float>{c, s.m, s.n, s.n, 1});
    };
  };
  list.push_back(
      {"kovos portable", [f = ours(Engine::portable)](Shape const& s, float const* a, float const* b, float* c) {
         if (s.m * s.k * s.n < 100'000'000) f(s, a, b, c);
       }});
#ifdef KOVOS_ENABLE_EIGEN
  list.push_back({"kovos eigen", ours(Engine::eigen)});
#endif
#ifdef KOVOS_ENABLE_ONEDNN
  list.push_back({"kovos onednn", ours(Engine::onednn)});
#endif
#ifdef KOVOS_HOST_ENGINE
  for (auto const* kernels : detail::available_host_kernels())
    list.push_back({std::string("kovos host ") + kernels->name,
                    [context = Context<Exec>(), kernels](Shape const& s, float const* a, float const* b, float* c) {
                      detail::gemm_host(
                          context,
                          detail::Product<float, float, float>{
                              {a, s.m, s.k, s.k, 1}, {b, s.k, s.n, s.n, 1}, {c, s.m, s.n, s.n, 1}, 1.0f, {}},
                          *kernels);
                    }});
#endif
  std::string const sets = Eigen::SimdInstructionSetsInUse();
  list.push_back(
      {"Eigen, " + sets.substr(0, sets.find(',')), [](Shape const& s, float const* a, float const* b, float* c) {
         using M = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
         auto const i = [](std::size_t n) { return static_cast<Eigen::Index>(n); };
         Eigen::Map<M>(c, i(s.m), i(s.n)).noalias() =
             Eigen::Map<M const>(a, i(s.m), i(s.k)) * Eigen::Map<M const>(b, i(s.k), i(s.n));
       }});
  std::string found;
  if (void* const library = open_first("KOVOS_OPENBLAS", {"libopenblas.so.0", "libopenblas.so"}, found)) {
    using Sgemm =
        void (*)(int, int, int, int, int, int, float, float const*, int, float const*, int, float, float*, int);
    if (auto const sgemm = reinterpret_cast<Sgemm>(dlsym(library, "cblas_sgemm")))
      list.push_back({"OpenBLAS (" + found + ")", [sgemm](Shape const& s, float const* a, float const* b, float* c) {
                        int const m = static_cast<int>(s.m), k = static_cast<int>(s.k), n = static_cast<int>(s.n);
                        sgemm(101, 111, 111, m, n, k, 1, a, k, b, n, 0, c, n);  // row-major, nothing transposed
                      }});
  }
  if (void* const library = open_first("KOVOS_ONEDNN", {"libdnnl.so.3", "libdnnl.so.2"}, found)) {
    using Dim = std::int64_t;
    using Sgemm = int (*)(char, char, Dim, Dim, Dim, float, float const*, Dim, float const*, Dim, float, float*, Dim);
    if (auto const sgemm = reinterpret_cast<Sgemm>(dlsym(library, "dnnl_sgemm")))
      list.push_back({"oneDNN (" + found + ")", [sgemm](Shape const& s, float const* a, float const* b, float* c) {
                        auto const m = static_cast<Dim>(s.m), k = static_cast<Dim>(s.k), n = static_cast<Dim>(s.n);
                        sgemm('N', 'N', m, n, k, 1, a, k, b, n, 0, c, n);
                      }});
  }
  return list;
}

}  // namespace

int main(int count, char** values) {
  Runtime runtime;
  bench::Arguments arguments(count, values);
  std::size_t const rounds = std::stoul(arguments.option("--rounds", "15"));
  auto const json = arguments.option("--json");
  Context<Exec> const context;
  Json record;
  record["benchmark"] = "gemm";
  record["machine"] = bench::machine(context);
  auto const peaks = measure_peaks(context);
  record["peaks"] = {{"fma_gflops", peaks.fma_gflops}, {"isa", peaks.isa}};
  record["rounds"] = rounds;
  auto list = contenders();
  std::vector<std::string> header{"product", "M x K x N"};
  for (auto const& c : list) header.push_back(c.name);
  header.emplace_back("floor");
  std::printf(
      "Milliseconds per product (GFLOP/s); median of %zu rounds in alternation. Floor: the measured peak "
      "of %.0f GFLOP/s, or the operands once through memory at %.0f GB/s if that is longer.\n\n",
      rounds, peaks.fma_gflops, peaks.triad_gbytes);
  bench::print_header(header);
  for (auto const& s : shapes) {
    bench::Random random(3);
    std::vector<float> a(s.m * s.k), b(s.k * s.n), c(s.m * s.n), expected;
    for (auto& x : a) x = random.symmetric();
    for (auto& x : b) x = random.symmetric();
    double const gflop = 2e-9 * static_cast<double>(s.m * s.k * s.n);
    std::string wrong;
    for (auto& contender : list) {  // warm up, and nobody may win by being wrong
      contender.times.clear();
      std::fill(c.begin(), c.end(), 0.0f);
      contender.product(s, a.data(), b.data(), c.data());
      if (contender.name == "kovos portable") continue;
      if (expected.empty()) expected = c;
      for (std::size_t i = 0; i < c.size(); ++i)
        if (!(std::fabs(c[i] - expected[i]) < 1e-3f)) {
          wrong = contender.name;
          break;
        }
    }
    if (!wrong.empty()) {
      std::fprintf(stderr, "%s: %s disagrees with %s\n", s.where, wrong.c_str(), list[1].name.c_str());
      return 1;
    }
    for (std::size_t round = 0; round < rounds; ++round)
      for (auto& contender : list)
        contender.times.push_back(bench::seconds([&] { contender.product(s, a.data(), b.data(), c.data()); }));
    double const bytes = 4.0 * static_cast<double>(s.m * s.k + s.k * s.n + s.m * s.n);
    double const floor = std::max(gflop / peaks.fma_gflops, 1e-9 * bytes / peaks.triad_gbytes);
    Json r{{"where", s.where}, {"m", s.m}, {"k", s.k}, {"n", s.n}, {"gflop", gflop}, {"floor_seconds", floor}};
    std::vector<std::string> cells{s.where, bench::text("%zu x %zu x %zu", s.m, s.k, s.n)};
    for (auto const& contender : list) {
      double const t = bench::median(contender.times);
      if (t < 1e-6) {
        cells.emplace_back("-");
        continue;
      }
      r["seconds"][contender.name] = t;
      cells.push_back(bench::text("%.2f (%.0f)", 1e3 * t, gflop / t));
    }
    cells.push_back(bench::text("%.2f", 1e3 * floor));
    bench::print_row(cells);
    record["results"].push_back(r);
  }
  bench::print_machine(record["machine"]);
  bench::write_json(json, record);
}
