// SPDX-License-Identifier: Apache-2.0
// Matrix products of the shapes CAT-Seg has, ours beside others, in alternation:
//   kovos_gemm_bench [--rounds 15] [--precision fp32] [--json FILE]
// Ours: the portable engine (small shapes only, it is the definition and not the fast one), the Eigen engine, the
// oneDNN engine if it is compiled in, the host engine with each instruction set. Others: Eigen itself on all threads,
// as this program was compiled (-DKOVOS_NATIVE=ON for its best), OpenBLAS and oneDNN if their libraries are found
// ($KOVOS_OPENBLAS and $KOVOS_ONEDNN name them). With --precision bf16: the host engine's kernels, and oneDNN if it is
// compiled in, both with weights packed once.

#include <dlfcn.h>

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
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

using Floats = std::shared_ptr<std::vector<float>>;

struct Contender {
  std::string name;
  std::function<void(Shape const&, float const*, float const*, float*)> product;  // row-major, C = A B
  std::function<void(Shape const&, Floats const&, Floats const&)> prepare{};      // once for these A and B, not timed
  double most_products = 1e300;                                                   // M K N above which it is left out
  std::vector<double> times{};

  bool takes(Shape const& s) const { return static_cast<double>(s.m * s.k * s.n) < most_products; }
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

#ifdef KOVOS_ENABLE_ONEDNN
/// A product of bf16 as a program that runs a model with oneDNN has it: weights in the layout that oneDNN asks for, and
/// the other operand in bf16 already.
class OnednnBf16Product {
 public:
  void prepare(Shape const& s, Floats const& a, Floats const& b) {
    using Desc = dnnl::memory::desc;
    using Type = dnnl::memory::data_type;
    dnnl::memory::dims const size_a{dim(s.m), dim(s.k)}, size_b{dim(s.k), dim(s.n)}, size_c{dim(s.m), dim(s.n)};
    auto const rows = dnnl::memory::format_tag::ab, any = dnnl::memory::format_tag::any;
    Desc const rounded_a(size_a, Type::bf16, rows), rounded_b(size_b, Type::bf16, any), sums(size_c, Type::f32, rows);
    auto const product = detail::onednn_product(engine_, rounded_a, rounded_b, sums);
    product_ = dnnl::matmul(product);
    a_ = converted(Desc(size_a, Type::f32, rows), *a, rounded_a);
    b_ = converted(Desc(size_b, Type::f32, rows), *b, product.weights_desc());
    sums_ = sums;
  }
  void run(float* c) {
    dnnl::memory const to(sums_, engine_, c);
    product_.execute(stream_, {{DNNL_ARG_SRC, a_}, {DNNL_ARG_WEIGHTS, b_}, {DNNL_ARG_DST, to}});
    stream_.wait();
  }

 private:
  static dnnl::memory::dim dim(std::size_t n) { return static_cast<dnnl::memory::dim>(n); }

  dnnl::memory converted(dnnl::memory::desc const& from, std::vector<float>& values, dnnl::memory::desc const& to) {
    dnnl::memory source(from, engine_, values.data()), result(to, engine_);
    dnnl::reorder(source, result).execute(stream_, source, result);
    stream_.wait();
    return result;
  }

  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  dnnl::matmul product_;
  dnnl::memory a_, b_;
  dnnl::memory::desc sums_;
};
#endif

/// As in a model: weights are packed once. Kovos rounds the other operand in each call.
std::vector<Contender> bf16_contenders() {
  std::vector<Contender> list;
#ifdef KOVOS_HOST_ENGINE
  for (auto const* kernels : detail::available_host_bf16_kernels()) {
    Context<Exec> const context;
    list.push_back({std::string("kovos host ") + kernels->name,
                    [context, kernels](Shape const& s, float const* a, float const* b, float* c) {
                      detail::gemm_bf16(
                          context,
                          problem::Product<float, float, float>{
                              {a, s.m, s.k, s.k, 1}, {b, s.k, s.n, s.n, 1}, {c, s.m, s.n, s.n, 1}, 1.0f, {}},
                          *kernels);
                    },
                    [context](Shape const&, Floats const&, Floats const& b) {
                      context.packed().declare_constant(b->data(), b->size() * sizeof(float), b);
                    }});
  }
#endif
#ifdef KOVOS_ENABLE_ONEDNN
  if (detail::onednn_has_bf16()) {
    auto const product = std::make_shared<OnednnBf16Product>();
    auto const* const version = dnnl_version();
    list.push_back({bench::text("oneDNN %d.%d.%d", version->major, version->minor, version->patch),
                    [product](Shape const&, float const*, float const*, float* c) { product->run(c); },
                    [product](Shape const& s, Floats const& a, Floats const& b) { product->prepare(s, a, b); }});
  }
#endif
  return list;
}

std::vector<Contender> contenders() {
  std::vector<Contender> list;
  auto const ours = [](Engine engine) {
    return [context = Context<Exec>(Exec(), engine)](Shape const& s, float const* a, float const* b, float* c) {
      gemm(context, Matrix<float const>{a, s.m, s.k, s.k, 1}, Matrix<float const>{b, s.k, s.n, s.n, 1},
           Matrix<float>{c, s.m, s.n, s.n, 1});
    };
  };
  list.push_back({"kovos portable", ours(Engine::portable), {}, 1e8});
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
                          problem::Product<float, float, float>{
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
  record["peaks"] = {{"fma_gflops", peaks.fma_gflops}, {"bf16_gflops", peaks.bf16_gflops}, {"isa", peaks.isa}};
  record["rounds"] = rounds;
  bool const in_bf16 = arguments.option("--precision", "fp32") == "bf16";
  double const peak = in_bf16 ? peaks.bf16_gflops : peaks.fma_gflops;
  auto list = in_bf16 ? bf16_contenders() : contenders();
  if (list.empty()) {
    std::fprintf(stderr, "kovos_gemm_bench: this machine has no instructions for products of bf16\n");
    return 1;
  }
  std::vector<std::string> header{"product", "M x K x N"};
  for (auto const& c : list) header.push_back(c.name);
  header.emplace_back("floor");
  std::printf(
      "Milliseconds per product (GFLOP/s); median of %zu rounds in alternation. Floor: the measured peak "
      "of %.0f GFLOP/s, or the operands once through memory at %.0f GB/s if that is longer.\n\n",
      rounds, peak, peaks.triad_gbytes);
  bench::print_header(header);
  for (auto const& s : shapes) {
    bench::Random random(3);
    auto const operand_a = std::make_shared<std::vector<float>>(s.m * s.k);
    auto const operand_b = std::make_shared<std::vector<float>>(s.k * s.n);
    auto& a = *operand_a;
    auto& b = *operand_b;
    std::vector<float> c(s.m * s.n), expected;
    for (auto& x : a) x = random.symmetric();
    for (auto& x : b) x = random.symmetric();
    double const gflop = 2e-9 * static_cast<double>(s.m * s.k * s.n);
    std::string wrong, first;
    for (auto& contender : list) {  // warm up, and nobody may win by being wrong
      contender.times.clear();
      if (!contender.takes(s)) continue;
      if (contender.prepare) contender.prepare(s, operand_a, operand_b);
      std::fill(c.begin(), c.end(), 0.0f);
      contender.product(s, a.data(), b.data(), c.data());
      if (expected.empty()) {
        expected = c;
        first = contender.name;
      }
      for (std::size_t i = 0; i < c.size(); ++i)
        if (!(std::fabs(c[i] - expected[i]) < 1e-3f)) {
          wrong = contender.name;
          break;
        }
    }
    if (!wrong.empty()) {
      std::fprintf(stderr, "%s: %s disagrees with %s\n", s.where, wrong.c_str(), first.c_str());
      return 1;
    }
    for (std::size_t round = 0; round < rounds; ++round)
      for (auto& contender : list)
        if (contender.takes(s))
          contender.times.push_back(bench::seconds([&] { contender.product(s, a.data(), b.data(), c.data()); }));
    double const bytes =
        4.0 * static_cast<double>(s.m * s.k + s.m * s.n) + (in_bf16 ? 2.0 : 4.0) * static_cast<double>(s.k * s.n);
    double const floor = std::max(gflop / peak, 1e-9 * bytes / peaks.triad_gbytes);
    Json r{{"where", s.where}, {"m", s.m}, {"k", s.k}, {"n", s.n}, {"gflop", gflop}, {"floor_seconds", floor}};
    std::vector<std::string> cells{s.where, bench::text("%zu x %zu x %zu", s.m, s.k, s.n)};
    for (auto const& contender : list) {
      if (contender.times.empty()) {
        cells.emplace_back("-");
        continue;
      }
      double const t = bench::median(contender.times);
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
