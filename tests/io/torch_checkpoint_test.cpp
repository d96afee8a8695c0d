// SPDX-License-Identifier: Apache-2.0
#include "kovos/io/torch_checkpoint.hpp"

#include <doctest/doctest.h>
#include <zip.h>

#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <vector>

#include "kovos/io/safetensors.hpp"
#include "support.hpp"
#include "torch_writer.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {

using Floats = std::vector<float>;
using Shape = std::vector<std::size_t>;
using Storages = std::vector<std::pair<std::string, std::string>>;

NamedTensors parse(std::string const& text) {
  auto const owner = std::make_shared<std::string const>(text);
  return parse_torch_checkpoint(as_bytes(*owner), "test.pth", owner);
}
NamedTensors parse(std::string const& pickle, Storages const& storages) {
  return parse(zip_archive(torch_records(pickle, storages)));
}

std::string const six = raw(0.f, 1.f, 2.f, 3.f, 4.f, 5.f);
PickleWriter::Storage const six_floats{"FloatStorage", "0", 6};

/// A file of one entry 'w' that `write` appends.
NamedTensors parse_one(std::function<void(PickleWriter&)> const& write, Storages const& storages = {{"0", six}}) {
  PickleWriter pickle;
  pickle.op("}(").text("w");
  write(pickle);
  return parse(pickle.op('u').stop(), storages);
}
NamedTensors parse_tensor(std::vector<std::int64_t> const& size, std::vector<std::int64_t> const& stride,
                          std::int64_t offset = 0) {
  return parse_one([&](PickleWriter& p) { p.tensor(six_floats, size, stride, offset); });
}
std::string ordinary() { return PickleWriter().op("}(").text("w").tensor(six_floats, {2, 3}, {3, 1}).op('u').stop(); }
/// An ordinary file with one more entry, before the tensor.
NamedTensors parse_beside(std::function<void(PickleWriter&)> const& write) {
  PickleWriter pickle;
  pickle.op("}(").text("other");
  write(pickle);
  return parse(pickle.text("w").tensor(six_floats, {2, 3}, {3, 1}).op('u').stop(), {{"0", six}});
}

}  // namespace

TEST_CASE("torch: a plain file, in place") {
  auto const text = zip_archive(torch_records(ordinary(), {{"0", six}}));
  auto const read = parse_torch_checkpoint(as_bytes(text), "test.pth", nullptr);
  CHECK(read.container == "torch zip");
  CHECK(read.source == "test.pth");
  REQUIRE(read.tensors.size() == 1);
  auto const& w = read.tensors.at("w");
  CHECK(w.shape == Shape{2, 3});
  CHECK(to_float(w) == Floats{0, 1, 2, 3, 4, 5});
  CHECK(w.bytes.data() == as_bytes(text).data() + text.find(six));
}

TEST_CASE("torch: strided views become contiguous") {
  CHECK(to_float(parse_tensor({3, 2}, {1, 3}).tensors.at("w")) == Floats{0, 3, 1, 4, 2, 5});  // transposed
  CHECK(to_float(parse_tensor({2}, {3}, 1).tensors.at("w")) == Floats{1, 4});                 // a column
  CHECK(to_float(parse_tensor({2, 2}, {0, 1}, 4).tensors.at("w")) == Floats{4, 5, 4, 5});     // broadcast
  CHECK(to_float(parse_tensor({}, {}, 5).tensors.at("w")) == Floats{5});
  CHECK(to_float(parse_tensor({1, 6}, {99, 1}).tensors.at("w")) == Floats{0, 1, 2, 3, 4, 5});
  CHECK(to_float(parse_tensor({2, 1, 2}, {2, 7, 1}, 1).tensors.at("w")) == Floats{1, 2, 3, 4});
  auto const empty = parse_tensor({0, 3}, {3, 1}).tensors.at("w");
  CHECK(empty.shape == Shape{0, 3});
  CHECK(empty.bytes.empty());
}

TEST_CASE("torch: tensors that reach outside their storage") {
  char const* const outside = "reaches outside its storage '0' of 6 elements";
  CHECK_FAILS(CheckpointError, outside, parse_tensor({7}, {1}));
  CHECK_FAILS(CheckpointError, outside, parse_tensor({2, 3}, {3, 1}, 1));
  CHECK_FAILS(CheckpointError, outside, parse_tensor({}, {}, 6));
  CHECK_FAILS(CheckpointError, outside, parse_tensor({2}, {6}));
  CHECK_FAILS(CheckpointError, outside, parse_tensor({0}, {1}, 7));
  std::int64_t const large = std::numeric_limits<std::int64_t>::max();
  CHECK_FAILS(CheckpointError, outside, parse_tensor({large}, {large}));
  CHECK_FAILS(CheckpointError, outside, parse_tensor({3, 3}, {large, large}));
  CHECK_FAILS(CheckpointError, outside, parse_tensor({2}, {1}, large));
  CHECK_FAILS(CheckpointError, "too large for 64 bits", parse_tensor({large, large}, {0, 0}));
  CHECK_FAILS(CheckpointError, "made to fill the memory", parse_tensor({std::int64_t{1} << 40}, {0}));
  CHECK_FAILS(CheckpointError, "as the size of a tensor, expected a number >= 0", parse_tensor({-1}, {1}));
  CHECK_FAILS(CheckpointError, "as the stride of a tensor", parse_tensor({2}, {-1}));
  CHECK_FAILS(CheckpointError, "as the offset of a tensor", parse_tensor({2}, {1}, -1));
  CHECK_FAILS(CheckpointError, "2 sizes and 1 strides", parse_tensor({2, 3}, {1}));
  CHECK_FAILS(CheckpointError, "65 dimensions", parse_tensor(std::vector<std::int64_t>(65, 1), {1}));
}

TEST_CASE("torch: element types") {
  using enum DType;
  struct Case {
    char const* name;
    DType dtype;
  };
  for (auto const& known : {Case{"FloatStorage", f32},
                            {"DoubleStorage", f64},
                            {"HalfStorage", f16},
                            {"BFloat16Storage", bf16},
                            {"LongStorage", i64},
                            {"IntStorage", i32},
                            {"ShortStorage", i16},
                            {"CharStorage", i8},
                            {"ByteStorage", u8},
                            {"BoolStorage", boolean}}) {
    for (auto const* module : {"torch", "torch.cuda"}) {
      PickleWriter::Storage const storage{known.name, "0", 2, module};
      std::string const data(2 * size_of(known.dtype), '\1');
      auto const read = parse_one([&](PickleWriter& p) { p.tensor(storage, {2}, {1}); }, {{"0", data}});
      CHECK(read.tensors.at("w").dtype == known.dtype);
      CHECK(as_text(read.tensors.at("w").bytes) == data);
    }
  }
  PickleWriter::Storage const complex{"ComplexFloatStorage", "0", 1};
  CHECK_FAILS(CheckpointError, "holds no tensors that Kovos can hold: 'w' has the element type complex64",
              parse_one([&](PickleWriter& p) { p.tensor(complex, {1}, {1}); }, {{"0", std::string(8, 'x')}}));
  CHECK_FAILS(CheckpointError, "unknown type 'torch.OddStorage'", parse_one([&](PickleWriter& p) {
                p.tensor({"OddStorage", "0", 1}, {1}, {1});
              }));
}

TEST_CASE("torch: _rebuild_tensor_v3 takes the type from its argument") {
  auto const v3 = [](std::string const& module, std::string const& dtype, std::int64_t bytes, std::int64_t count) {
    return parse_one(
        [&](PickleWriter& p) {
          p.global("torch._utils", "_rebuild_tensor_v3").mark();
          p.storage({"UntypedStorage", "0", bytes, "torch.storage"}).integer(0).integers({count}).integers({1});
          p.op('\x89').ordered_dict().global(module, dtype).op("tR");
        },
        {{"0", std::string(static_cast<std::size_t>(bytes), '\x38')}});
  };
  CHECK(to_float(v3("torch", "float8_e4m3fn", 2, 2).tensors.at("w")) == Floats{1, 1});
  CHECK(v3("torch", "float8_e5m2", 2, 2).tensors.at("w").dtype == DType::f8_e5m2);
  CHECK(v3("torch", "uint16", 4, 2).tensors.at("w").dtype == DType::u16);
  CHECK_FAILS(CheckpointError, "of 1 elements", v3("torch", "uint32", 7, 2));
  CHECK_FAILS(CheckpointError, "float8_e4m3fnuz", v3("torch", "float8_e4m3fnuz", 2, 2));
  CHECK_FAILS(CheckpointError, "'w' has the element type 'torch.float7', which is unknown",
              v3("torch", "float7", 2, 2));
}

TEST_CASE("torch: parameters, the oldest tensors, and shared storages") {
  auto const read = parse_one([](PickleWriter& p) {
    p.global("torch._utils", "_rebuild_parameter")
        .mark()
        .tensor(six_floats, {2}, {1})
        .op('\x88')
        .ordered_dict()
        .op("tR");
    p.text("old").global("torch._utils", "_rebuild_tensor").mark().storage(six_floats);
    p.integer(2).integers({2}).integers({1}).op("tR").put(9);
    p.text("again").get(9);
  });
  CHECK(to_float(read.tensors.at("w")) == Floats{0, 1});
  CHECK(to_float(read.tensors.at("old")) == Floats{2, 3});
  CHECK(to_float(read.tensors.at("again")) == Floats{2, 3});
  CHECK_FAILS(CheckpointError, "expected a tensor", parse_one([](PickleWriter& p) {
                p.global("torch._utils", "_rebuild_parameter").mark().integer(1).op('\x88').ordered_dict().op("tR");
              }));
  CHECK_FAILS(CheckpointError, "expected at least 6", parse_one([](PickleWriter& p) {
                p.global("torch._utils", "_rebuild_tensor_v2").mark().storage(six_floats).op("tR");
              }));
  CHECK_FAILS(CheckpointError, "expected a storage", parse_one([](PickleWriter& p) {
                p.global("torch._utils", "_rebuild_tensor").mark().integer(1).integer(0).op("))tR");
              }));
}

TEST_CASE("torch: marks of lazy views are applied or refused") {
  auto const marked = [](std::string const& mark, char value) {
    return parse_one([&](PickleWriter& p) {
      p.global("torch._utils", "_rebuild_tensor_v2").mark().storage(six_floats).integer(1).integers({2}).integers({1});
      p.op('\x89').ordered_dict().op("}(").text(mark).op(value).op("utR");
    });
  };
  CHECK(to_float(marked("neg", '\x88').tensors.at("w")) == Floats{-1, -2});
  CHECK(to_float(marked("neg", '\x89').tensors.at("w")) == Floats{1, 2});
  CHECK(to_float(marked("conj", '\x88').tensors.at("w")) == Floats{1, 2});
  CHECK_FAILS(CheckpointError, "with the mark 'inverse', expected 'neg' or 'conj'", marked("inverse", '\x88'));
  CHECK_FAILS(CheckpointError, "with the mark 'neg'", marked("neg", 'N'));

  // Wrappers of a tensor in a wrapper do not occur, and must not become deep recursion.
  CHECK_FAILS(CheckpointError, "'w' is a tensor made by 'torch._tensor._rebuild_from_type_v2'",
              parse_one([&](PickleWriter& p) {
                p.global("torch._tensor", "_rebuild_from_type_v2").mark();
                p.global("torch._tensor", "_rebuild_from_type_v2").global("torch", "Tensor").integers({1}).op("}tR");
              }));
}

TEST_CASE("torch: NaN is data") {
  auto const read = parse(ordinary(), {{"0", raw(std::nanf("")) + six.substr(4)}});
  CHECK(std::isnan(to_float(read.tensors.at("w"))[0]));
}

TEST_CASE("torch: the model part is found") {
  auto const tensor = [](PickleWriter& p) -> PickleWriter& { return p.tensor(six_floats, {1}, {1}); };
  for (auto const* key : {"model", "state_dict", "model_state", "model_state_dict"}) {
    PickleWriter p;
    p.op("}(").text("iteration").integer(7).text(key).ordered_dict().op('(').text("a.b");
    tensor(p).op('u');
    // state_dict() attaches its versions by BUILD
    p.op("}(").text("_metadata").ordered_dict().op("ub");
    auto const read = parse(p.op('u').stop(), {{"0", six}});
    CHECK(read.tensors.size() == 1);
    CHECK(read.tensors.contains("a.b"));
  }
  PickleWriter nested;
  nested.op("}(").text("model").op("}(").text("state_dict").op("}(").text("module.x");
  tensor(nested).text("module.y");
  // The names of the file; read_checkpoint drops prefixes, for all containers.
  CHECK(parse(tensor(nested).op("uuu").stop(), {{"0", six}}).tensors.contains("module.x"));

  PickleWriter twice;  // the last value of a key counts, as in Python
  twice.op("}(").text("w");
  tensor(twice).text("w").tensor(six_floats, {3}, {1});
  CHECK(parse(twice.op('u').stop(), {{"0", six}}).tensors.at("w").shape == Shape{3});
}

TEST_CASE("torch: files without named tensors say what they hold") {
  CHECK_FAILS(CheckpointError, "holds no tensors; it is empty", parse(PickleWriter().op('}').stop(), {}));
  CHECK_FAILS(CheckpointError, "its entries are 'epoch'",
              parse(PickleWriter().op("}(").text("epoch").integer(1).op('u').stop(), {}));
  CHECK_FAILS(CheckpointError, "holds no dictionary", parse(PickleWriter().op(']').stop(), {}));
  CHECK_FAILS(CheckpointError, "holds no dictionary",
              parse(PickleWriter().tensor(six_floats, {1}, {1}).stop(), {{"0", six}}));
  auto const whole = PickleWriter().global("my.models", "Net").op(")\x81}b.").bytes;
  CHECK_FAILS(CheckpointError, "an object of the class 'my.models.Net', expected named tensors", parse(whole, {}));
  CHECK_FAILS(CheckpointError, "'my.models.Net'",
              parse(PickleWriter().op("}(").text("model").global("my.models", "Net").op(")\x81u.").bytes, {}));
}

TEST_CASE("torch: tensors under keys that are no text are named, not lost") {
  PickleWriter p;
  p.op("}(").integer(7).tensor(six_floats, {2, 3}, {3, 1}).op("(").text("a").integer(1).op('t');
  p.tensor(six_floats, {6}, {1}).integer(8).integer(9);
  auto const alone = p;
  CHECK_FAILS(CheckpointError,
              "holds no tensors that Kovos can hold: 'key 7' is no text, expected the name of a tensor",
              parse(PickleWriter(alone).op('u').stop(), {{"0", six}}));
  auto const read = parse(PickleWriter(alone).text("w").tensor(six_floats, {6}, {1}).op('u').stop(), {{"0", six}});
  CHECK(read.tensors.size() == 1);
  CHECK(read.left_out.size() == 2);
  CHECK(read.left_out.contains("key at place 1"));
}

TEST_CASE("torch: unknown classes beside the tensors are passed over") {
  auto const survives = [](std::function<void(PickleWriter&)> const& write) {
    return parse_beside(write).tensors.size() == 1;
  };
  CHECK(survives(
      [](PickleWriter& p) { p.global("argparse", "Namespace").op(")\x81}(").text("lr").integer(1).op("ub"); }));
  CHECK(survives([](PickleWriter& p) { p.global("numpy.core.multiarray", "scalar").op('(').integer(1).op("tR"); }));
  CHECK(survives([](PickleWriter& p) { p.global("my", "Dict").op(")\x81(").text("a").integer(1).op('u'); }));
  CHECK(survives([](PickleWriter& p) { p.global("my", "List").op(")\x81(").integer(1).op('e'); }));
  CHECK(survives([](PickleWriter& p) { p.global("my", "factory").op(")R)R"); }));
  CHECK(survives([](PickleWriter& p) { p.global("builtins", "set").op("](").integer(1).op("e\x85R"); }));
  CHECK(survives([](PickleWriter& p) { p.global("_codecs", "encode").text("x").text("latin1").op("\x86R"); }));
  CHECK(survives([](PickleWriter& p) { p.global("torch", "device").text("cpu").op("\x85R"); }));
  CHECK(survives([](PickleWriter& p) { p.global("torch", "Size").integers({1, 2}).op("\x85R"); }));
  CHECK(survives([](PickleWriter& p) { p.op('G').op(std::string(8, '\0')); }));
  CHECK(survives([](PickleWriter& p) { p.op("\x8a\x0c").op(std::string(12, 'x')); }));
  CHECK(survives([](PickleWriter& p) { p.op("\x8f(").integer(1).op('\x90'); }));
  CHECK(survives([](PickleWriter& p) { p.op("C\x03zzz"); }));
  CHECK(survives([](PickleWriter& p) { p.op("U\x03zzz"); }));
  CHECK(survives([](PickleWriter& p) { p.op("N0(NN1N"); }));  // values that are dropped again
  // But a tensor of an unknown make must not vanish silently.
  for (auto const& [function, sentence] :
       {std::pair{"_rebuild_qtensor", "'other' is a quantized tensor"},
        {"_rebuild_of_the_future", "'other' is a tensor made by 'torch._utils._rebuild_of_the_future'"}}) {
    CHECK_FAILS(CheckpointError, sentence, parse_beside([&](PickleWriter& p) {
                  p.global("torch._utils", function).mark().storage(six_floats).op("tR");
                }));
  }
  CHECK_FAILS(CheckpointError, "'other' is made by 'my.Quantized' from a tensor",
              parse_beside([](PickleWriter& p) { p.global("my", "Quantized").mark().storage(six_floats).op("tR"); }));
  // A storage that only such entries use may be missing from the archive.
  CHECK(survives([](PickleWriter& p) { p.op("](").storage({"FloatStorage", "77", 3}).op('e'); }));
}

TEST_CASE("torch: names that could run code are refused wherever they occur") {
  struct Bad {
    char const *module, *name;
  };
  for (auto const& bad : {Bad{"os", "system"},
                          {"posix", "system"},
                          {"nt", "system"},
                          {"sys", "exit"},
                          {"subprocess", "Popen"},
                          {"builtins", "eval"},
                          {"builtins", "exec"},
                          {"__builtin__", "eval"},
                          {"builtins", "__import__"},
                          {"os.path", "join"},
                          {"shutil", "rmtree"},
                          {"runpy", "run_path"},
                          {"importlib", "import_module"},
                          {"ctypes", "CDLL"},
                          {"pickle", "loads"},
                          {"socket", "socket"}}) {
    std::string const full = "names '" + std::string(bad.module) + "." + bad.name + "', which could run code";
    CHECK_FAILS(CheckpointError, full, parse_beside([&](PickleWriter& p) { p.global(bad.module, bad.name); }));
    CHECK_FAILS(CheckpointError, full,
                parse_beside([&](PickleWriter& p) { p.global(bad.module, bad.name).text("ls").op("\x85R"); }));
    CHECK_FAILS(CheckpointError, full,
                parse_beside([&](PickleWriter& p) { p.text(bad.module).text(bad.name).op('\x93'); }));
  }
  CHECK_FAILS(CheckpointError, "test.pth", parse_beside([](PickleWriter& p) { p.global("os", "system"); }));
  // What ordinary training checkpoints name beside their weights is passed over, in both forms of a name.
  for (auto const& fine : {Bad{"builtins", "getattr"},
                           {"__builtin__", "getattr"},
                           {"builtins", "ValueError"},
                           {"operator", "itemgetter"},
                           {"functools", "partial"},
                           {"code.models", "Net"},
                           {"sys.config", "Node"},
                           {"my.settings", "eval"}}) {
    CHECK(parse_beside([&](PickleWriter& p) {
            p.global(fine.module, fine.name).text("a").op("\x85R").op(")R");
          }).tensors.size() == 1);
    CHECK(parse_beside([&](PickleWriter& p) {
            p.text(fine.module).text(fine.name).op('\x93').text("a").op("\x85R");
          }).tensors.size() == 1);
  }
}

TEST_CASE("torch: opcodes that weights never need are refused by name") {
  struct Bad {
    char const *code, *name;
  };
  for (auto const& bad : {Bad{"i", "0x69 INST"},
                          {"o", "0x6f OBJ"},
                          {"P", "0x50 PERSID"},
                          {"\x82", "0x82 EXT1"},
                          {"\x83", "0x83 EXT2"},
                          {"\x84", "0x84 EXT4"},
                          {"\x97", "0x97 NEXT_BUFFER"},
                          {"\x98", "0x98 READONLY"},
                          {"I", "opcode 0x49,"},
                          {"S", "opcode 0x53,"},
                          {"\xff", "opcode 0xff,"}}) {
    CHECK_FAILS(CheckpointError, bad.name, parse_beside([&](PickleWriter& p) { p.op(bad.code); }));
  }
  CHECK(parse_beside([](PickleWriter& p) { p.text("my").text("Thing").op('\x93').op(")}\x92"); }).tensors.size() == 1);
  CHECK(parse_beside([](PickleWriter& p) { p.op('\x96').op(raw(std::uint64_t{3})).op("abc"); }).tensors.size() == 1);
  auto const modern = PickleWriter().op("\x95").op(raw(std::uint64_t{5})).op("}\x94(").op("\x8c\x01w").op('\x94');
  auto text = PickleWriter(modern).text("torch._utils").text("_rebuild_tensor").op('\x93').mark().storage(six_floats);
  CHECK(parse(text.integer(0).integers({6}).integers({1}).op("tRu.").bytes, {{"0", six}}).tensors.size() == 1);
}

TEST_CASE("torch: pickles that make no sense") {
  auto const pickle = [](std::string const& code) { return parse("\x80\x02" + code, Storages{}); };
  CHECK_FAILS(CheckpointError, "does not begin as a pickle", parse("}.", Storages{}));
  CHECK_FAILS(CheckpointError, "protocol 1", parse("\x80\x01}.", Storages{}));
  CHECK_FAILS(CheckpointError, "protocol 6", parse("\x80\x06}.", Storages{}));
  CHECK_FAILS(CheckpointError, "ends in the middle", parse("", Storages{}));
  CHECK_FAILS(CheckpointError, "ends in the middle", pickle("}"));
  CHECK_FAILS(CheckpointError, "4294967295 bytes wanted and 1 left", pickle("X\xff\xff\xff\xff."));
  CHECK_FAILS(CheckpointError, "ends in the middle", pickle("\x8d\xff\xff\xff\xff\xff\xff\xff\xff."));
  CHECK_FAILS(CheckpointError, "name without an end", pickle("ctorch._utils"));
  CHECK_FAILS(CheckpointError, "name without an end", pickle("c" + std::string(2000, 'a') + "\nb\n."));
  CHECK_FAILS(CheckpointError, "empty stack", pickle("."));
  CHECK_FAILS(CheckpointError, "empty stack", pickle("}(b."));
  CHECK_FAILS(CheckpointError, "empty stack", pickle("q\x01."));
  CHECK_FAILS(CheckpointError, "never begun", pickle("}u."));
  CHECK_FAILS(CheckpointError, "values left over", pickle("}}."));
  CHECK_FAILS(CheckpointError, "never remembered", pickle("h\x05."));
  CHECK_FAILS(CheckpointError, "expected a small one", pickle("}r\xff\xff\xff\xff."));
  CHECK_FAILS(CheckpointError, "key without a value", pickle(std::string("}(K\0u.", 6)));
  CHECK_FAILS(CheckpointError, "sets keys of a list", pickle("](NNu."));
  CHECK_FAILS(CheckpointError, "appends to a dictionary", pickle("}(Ne."));
  CHECK_FAILS(CheckpointError, "adds to a list", pickle("](N\x90."));
  CHECK_FAILS(CheckpointError, "calls a dictionary, which is not a function", pickle("})R."));
  CHECK_FAILS(CheckpointError, "without a tuple of arguments", pickle("ca\nb\nNR."));
  CHECK_FAILS(CheckpointError, "creates an object of None", pickle("N)\x81."));
  CHECK_FAILS(CheckpointError, "gives a state to None", pickle("NNb."));
  CHECK_FAILS(CheckpointError, "persistent id that is None", pickle("NQ."));
  CHECK_FAILS(CheckpointError, "persistent id of kind 'thing'", pickle("(U\x05thingtQ."));
  CHECK_FAILS(CheckpointError, "by 1 values, expected 5", pickle("(U\x07storagetQ."));
  CHECK_FAILS(CheckpointError, "pickle byte", pickle("."));
  auto const storage = [&](std::int64_t numel) {
    return parse_one([&](PickleWriter& p) { p.tensor({"FloatStorage", "0", numel}, {1}, {1}); });
  };
  CHECK_FAILS(CheckpointError, "as the storage size", storage(-1));
  CHECK_FAILS(CheckpointError, "more than memory can hold", storage(std::numeric_limits<std::int64_t>::max()));
  CHECK_FAILS(CheckpointError, "the storage '0' of 'w' has 24 bytes, expected 28", storage(7));
  CHECK_FAILS(CheckpointError, "has 24 bytes, expected 20", storage(5));
  CHECK_FAILS(CheckpointError, "the data of 'w' (storage '0') is missing", parse(ordinary(), Storages{{"1", six}}));
  CHECK_FAILS(CheckpointError, "name 'bad\\xff' is not UTF-8",
              parse(PickleWriter().op("}(").text("bad\xff").tensor(six_floats, {1}, {1}).op('u').stop(), {{"0", six}}));
}

TEST_CASE("torch: cycles and repetition are harmless") {
  // A dictionary that contains itself, as model and otherwise.
  CHECK_FAILS(CheckpointError, "holds no tensors",
              parse(PickleWriter().op('}').put(1).op('(').text("model").get(1).op('u').stop(), Storages{}));
  CHECK(parse_beside([](PickleWriter& p) { p.op("]").put(1).get(1).op('a'); }).tensors.size() == 1);
  // Lists of two references to the list before: 2^64 elements if anyone followed them.
  CHECK(parse_beside([](PickleWriter& p) {
          p.op(']').put(1);
          for (int i = 0; i < 64; ++i) p.op("](").get(1).get(1).op('e').put(1).op('0').get(1);
          for (int i = 0; i < 64; ++i) p.op('0');
        }).tensors.size() == 1);
  // A chain of a million nested lists must neither overflow the stack on reading nor on destruction.
  std::string chain = "\x80\x02}(U\x05other";
  for (int i = 0; i < 1'000'000; ++i) chain += ']';
  for (int i = 0; i < 999'999; ++i) chain += 'a';
  chain += PickleWriter().text("w").tensor(six_floats, {1}, {1}).op('u').stop().substr(2);
  CHECK(parse(chain, {{"0", six}}).tensors.size() == 1);
  CHECK_FAILS(CheckpointError, "more than 4000000 objects",
              parse("\x80\x02" + std::string(4'000'001, 'N') + ".", Storages{}));
}

TEST_CASE("torch: TorchScript modules become dotted names, hints become metadata") {
  auto const module = [](PickleWriter& p, std::string const& name) -> PickleWriter& {
    return p.global("__torch__.multimodal." + name, name).op(")\x81}(");
  };
  PickleWriter p;
  module(p, "Root").text("training").op('\x89').text("logit_scale").tensor(six_floats, {}, {}, 3);
  p.text("visual");
  module(p, "Visual").text("proj").tensor(six_floats, {3, 2}, {1, 3}).text("_is_full_backward_hook").op('N');
  p.text("resblocks");
  module(p, "Sequential").text("0");
  module(p, "Block").text("bias").tensor(six_floats, {2}, {1}).op("ububub");
  auto const scalar = [&](std::string const& name, std::string const& key) {
    p.text(name).tensor({"LongStorage", key, 1, "torch.cuda"}, {}, {});
  };
  scalar("input_resolution", "1");
  scalar("context_length", "2");
  scalar("vocab_size", "3");
  p.text("sizes").global("torch.jit._pickle", "build_intlist").integers({1, 2}).op("\x85R");
  auto records = torch_records(
      p.op("ub").stop(),
      {{"0", six}, {"1", raw(std::int64_t{224})}, {"2", raw(std::int64_t{77})}, {"3", raw(std::int64_t{49408})}},
      "ViT");
  records.push_back({"ViT/constants.pkl", "\x80\x02)."});
  auto const read = parse(zip_archive(records));
  CHECK(read.container == "torchscript");
  CHECK(read.tensors.size() == 3);
  CHECK(to_float(read.tensors.at("logit_scale")) == Floats{3});
  CHECK(to_float(read.tensors.at("visual.proj")) == Floats{0, 3, 1, 4, 2, 5});
  CHECK(read.tensors.at("visual.resblocks.0.bias").shape == Shape{2});
  CHECK(read.metadata.at("input_resolution") == "224");
  CHECK(read.metadata.at("context_length") == "77");
  CHECK(read.metadata.at("vocab_size") == "49408");
}

TEST_CASE("torch: TorchScript modules that contain themselves or repeat") {
  PickleWriter cyclic;
  cyclic.global("__torch__.M", "M")
      .op(")\x81")
      .put(1)
      .op("}(")
      .text("self")
      .get(1)
      .text("w")
      .tensor(six_floats, {1}, {1});
  CHECK(parse(cyclic.op("ub").stop(), {{"0", six}}).tensors.size() == 1);

  PickleWriter doubling;  // each level holds the level below twice
  doubling.global("__torch__.M", "M").put(0).op(")\x81}(").text("w").tensor(six_floats, {1}, {1}).op("ub").put(1);
  for (int i = 0; i < 40; ++i) {
    doubling.op('0').get(0).op(")\x81}(").text("a").get(1).text("b").get(1).op("ub").put(1);
  }
  CHECK_FAILS(CheckpointError, "holds more than 100000 tensors", parse(doubling.stop(), {{"0", six}}));

  PickleWriter deep;
  deep.global("__torch__.M", "M").put(0).op(")\x81}(").text("");
  for (int i = 1; i < 1500; ++i) deep.get(0).op(")\x81}(").text("");
  deep.op('N');
  for (int i = 0; i < 1500; ++i) deep.op("ub");
  CHECK_FAILS(CheckpointError, "nests modules deeper than 1000", parse(deep.stop(), Storages{}));
  PickleWriter wordy;
  wordy.global("__torch__.M", "M").op(")\x81}(").text(std::string(2000, 'x')).tensor(six_floats, {1}, {1}).op("ub");
  CHECK_FAILS(CheckpointError, "longer than 1024 bytes", parse(wordy.stop(), {{"0", six}}));
}

TEST_CASE("torch zip: archives are accepted as producers write them") {
  auto const records = [](std::string const& folder = "archive") {
    return torch_records(ordinary(), {{"0", six}}, folder);
  };
  CHECK(parse(zip_archive(records("any name.v2"))).tensors.size() == 1);
  auto described = records();
  for (auto& r : described) {
    r.flags = 0x0808;
    r.local_extra = raw(std::uint16_t{0x4246}, std::uint16_t{3}) + "ZZZ";
  }
  CHECK(parse(zip_archive(described, {.large = true})).tensors.size() == 1);
  CHECK(parse(zip_archive(records(), {.entries = 0xffff, .offset = 0xffffffff, .size = 0xffffffff, .large = true}))
            .tensors.size() == 1);
  auto extra = records();
  extra.push_back({"archive/.format_version", "1"});
  extra.push_back({"archive/.data/serialization_id", "123"});
  extra.push_back({"archive/byteorder", "little"});
  CHECK(parse(zip_archive(extra)).tensors.size() == 1);
  CHECK(parse(zip_archive(records(), {.after = "a comment"})).tensors.size() == 1);

  std::string backwards(six.rbegin(), six.rend());  // all bytes reversed: the values last to first, each swapped
  auto swapped = torch_records(ordinary(), Storages{{"0", backwards}});
  swapped.push_back({"archive/byteorder", "big\n"});
  CHECK(to_float(parse(zip_archive(swapped)).tensors.at("w")) == Floats{5, 4, 3, 2, 1, 0});
}

TEST_CASE("torch zip: archives that are no checkpoints") {
  CHECK_FAILS(CheckpointError, "has no record 'word/data.pkl'", parse(zip_archive({{"word/document.xml", "x"}})));
  CHECK_FAILS(CheckpointError, "is not a file of torch.save", parse("hello"));
  CHECK_FAILS(CheckpointError, "is not a file of torch.save", parse(""));
  auto records = torch_records(ordinary(), {{"0", six}});
  records.back().data = "11";
  CHECK_FAILS(CheckpointError, "archive version '11', expected 1 to 10", parse(zip_archive(records)));
  records.back().data = "x";
  CHECK_FAILS(CheckpointError, "archive version 'x'", parse(zip_archive(records)));
  records.back() = {"archive/byteorder", "middle"};
  CHECK_FAILS(CheckpointError, "byte order 'middle'", parse(zip_archive(records)));
  records.back() = {"archive/byteorder", std::string(5000, 'x')};
  CHECK_FAILS(CheckpointError, "unpacks to 5000 bytes, expected at most 1024", parse(zip_archive(records)));
}

TEST_CASE("torch zip: truncation is noticed at every byte") {
  auto const text = zip_archive(torch_records(ordinary(), {{"0", six}}), {.large = true});
  CHECK(parse(text).tensors.size() == 1);
  for (std::size_t size = 0; size < text.size(); ++size) {
    CHECK_THROWS_AS(parse(text.substr(0, size)), CheckpointError);
  }
  CHECK_FAILS(CheckpointError, "unfinished download", parse(text.substr(0, text.size() - 1)));
}

TEST_CASE("torch zip: lying directories") {
  auto const good = torch_records(ordinary(), {{"0", six}});
  auto const with = [&](std::size_t index, auto&& change) {
    auto records = good;
    change(records[index]);
    return zip_archive(records);
  };
  CHECK_FAILS(CheckpointError, "two different sizes", parse(with(1, [](ZipRecord& r) { r.size = 5; })));
  CHECK_FAILS(CheckpointError, "reaches beyond the data",
              parse(with(1, [](ZipRecord& r) { r.size = r.compressed = 1'000'000; })));
  CHECK_FAILS(CheckpointError, "contradicts the directory",
              parse(with(1, [](ZipRecord& r) { r.size = r.compressed = 20; })));
  CHECK_FAILS(CheckpointError, "contradicts the directory",
              parse(with(1, [](ZipRecord& r) { r.local_name = "archive/data/1"; })));
  CHECK_FAILS(CheckpointError, "no header where the directory says",
              parse(with(1, [](ZipRecord& r) { r.offset = 7; })));
  CHECK_FAILS(CheckpointError, "no header where", parse(with(1, [](ZipRecord& r) { r.offset = 4'000'000'000; })));
  CHECK_FAILS(CheckpointError, "contradicts the directory", parse(with(1, [](ZipRecord& r) { r.offset = 0; })));
  CHECK_FAILS(CheckpointError, "is encrypted", parse(with(1, [](ZipRecord& r) { r.flags = 1; })));
  CHECK_FAILS(CheckpointError, "lies in another file", parse(with(1, [](ZipRecord& r) { r.disk = 3; })));
  CHECK_FAILS(CheckpointError, "large sizes of 'archive/data/0' are missing", parse(with(1, [](ZipRecord& r) {
                r.size = r.compressed = 0xffffffff;
                r.extra = raw(std::uint16_t{1}, std::uint16_t{8}, std::uint64_t{24});
              })));
  CHECK_FAILS(CheckpointError, "reaches beyond the data", parse(with(1, [](ZipRecord& r) {
                r.size = r.compressed = 0xffffffff;
                r.extra = raw(std::uint16_t{1}, std::uint16_t{16}, std::uint64_t{1} << 60, std::uint64_t{1} << 60);
              })));
  CHECK_FAILS(CheckpointError, "breaks off", parse(with(1, [](ZipRecord& r) {
                r.size = r.compressed = 0xffffffff;
                r.extra = raw(std::uint16_t{1}, std::uint16_t{99});
              })));
  for (auto const* name :
       {"../archive/data/0", "/archive/data/0", "archive/../0", "archive\\data\\0", "archive/..", ""}) {
    CHECK_FAILS(CheckpointError, "not a plain relative path", parse(with(1, [&](ZipRecord& r) { r.name = name; })));
  }
  CHECK_FAILS(CheckpointError, "two records are named 'archive/version'",
              parse(with(1, [](ZipRecord& r) { r.name = "archive/version"; })));
  CHECK_FAILS(CheckpointError, "'archive/data/0' is compressed by method 93, expected none or deflate",
              parse(with(1, [](ZipRecord& r) { r.method = 93; })));
}

TEST_CASE("torch zip: end records that lie") {
  auto const good = torch_records(ordinary(), {{"0", six}});
  CHECK_FAILS(CheckpointError, "split over several files", parse(zip_archive(good, {.disk = 1})));
  CHECK_FAILS(CheckpointError, "claims 2000 records", parse(zip_archive(good, {.entries = 2000})));
  CHECK_FAILS(CheckpointError, "bytes more than its records need", parse(zip_archive(good, {.entries = 2})));
  CHECK_FAILS(CheckpointError, "it is empty", parse(zip_archive(good, {.entries = 0})));
  CHECK_FAILS(CheckpointError, "directory lies outside", parse(zip_archive(good, {.offset = 1'000'000})));
  CHECK_FAILS(CheckpointError, "directory lies outside", parse(zip_archive(good, {.size = 1'000'000})));
  CHECK_FAILS(CheckpointError, "breaks off at record 0", parse(zip_archive(good, {.offset = 1})));
  CHECK_FAILS(CheckpointError, "contradict each other", parse(zip_archive(good, {.large = true, .large_entries = 5})));
  CHECK_FAILS(CheckpointError, "claims 18446744073709551615 records",
              parse(zip_archive(good, {.entries = 0xffff, .large = true, .large_entries = ~std::uint64_t{0}})));
}

TEST_CASE("torch zip: overlapping records, the better zip bomb") {
  // The second header lies inside the first record's data, so that both records share bytes.
  auto const inner = zip_archive({{"archive/data/1", six}});
  auto const header_and_data = inner.substr(0, 30 + 14 + six.size());
  auto records = torch_records(ordinary(), Storages{{"0", header_and_data}});
  auto const whole = zip_archive(records);
  auto const place = whole.find(header_and_data);
  REQUIRE(place != std::string::npos);
  records.insert(records.begin() + 2, {"archive/data/1", six, 0, 0, {}, {}, static_cast<std::uint32_t>(place)});
  auto const bomb = zip_archive(records);
  CHECK_FAILS(CheckpointError, "'archive/data/0' and 'archive/data/1' overlap", parse(bomb));
}

TEST_CASE("torch zip: a deflated pickle is read, bombs are not") {
  TemporaryFolder const folder;
  auto const write = [&](std::string const& pickle, std::string const& data, bool deflate_data) {
    auto const path = (folder / "a.zip").string();
    std::filesystem::remove(path);
    int error = 0;
    auto* archive = zip_open(path.c_str(), ZIP_CREATE, &error);
    REQUIRE(archive != nullptr);
    auto const add = [&](char const* name, std::string const& content, bool deflate) {
      auto* source = zip_source_buffer(archive, content.data(), content.size(), 0);
      auto const index = zip_file_add(archive, name, source, ZIP_FL_ENC_UTF_8);
      REQUIRE(index >= 0);
      zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), deflate ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 9);
    };
    add("a/data.pkl", pickle, true);
    add("a/data/0", data, deflate_data);
    REQUIRE(zip_close(archive) == 0);
    return load(path);
  };
  auto const text = write(ordinary() + std::string(100, 'x'), six, false);
  CHECK(to_float(parse(text).tensors.at("w")) == Floats{0, 1, 2, 3, 4, 5});
  auto const zipped = parse(write(ordinary(), six, true));
  CHECK(to_float(zipped.tensors.at("w")) == Floats{0, 1, 2, 3, 4, 5});
  CHECK(zipped.tensors.at("w").owner != nullptr);
  CHECK_FAILS(CheckpointError, "has 100000 bytes, expected 24",
              parse(write(ordinary(), std::string(100'000, 'x'), true)));
  // Zeros shrink to a thousandth: 300 MB of them in 300 KB are more than a file of that size may become.
  std::size_t const many = 300 << 20;
  auto const zeros = PickleWriter()
                         .op("}(")
                         .text("w")
                         .tensor({"ByteStorage", "0", static_cast<std::int64_t>(many)}, {1}, {1})
                         .op('u')
                         .stop();
  CHECK_FAILS(CheckpointError, "the record 'a/data/0' unpacks to 314572800 bytes, expected at most",
              parse(write(zeros, std::string(many, '\0'), true)));

  auto damaged = text;
  damaged[50] = static_cast<char>(damaged[50] ^ 0x55);
  CHECK_FAILS(CheckpointError, "is damaged", parse(damaged));

  // Ten bytes that promise four gigabytes, a promise that is possible but too large, and one that is only untrue.
  auto const promise = [&](std::string const& data, std::uint64_t size) {
    auto records = torch_records(ordinary(), {{"0", six}});
    records[0] = {"archive/data.pkl", data, 8, 8, size};
    return zip_archive(records);
  };
  CHECK_FAILS(CheckpointError, "unpacks to 4000000000 bytes, expected at most 268435456",
              parse(promise("1234567890", 4'000'000'000)));
  CHECK_FAILS(CheckpointError, "promises 200000000 bytes out of 10, which cannot be true",
              parse(promise("1234567890", 200'000'000)));
  CHECK_FAILS(CheckpointError, "is damaged", parse(promise("1234567890", 5000)));
  auto records = torch_records(ordinary(), {{"0", six}});
  records[0].method = 14;
  CHECK_FAILS(CheckpointError, "data.pkl", parse(zip_archive(records)));
}

TEST_CASE("torch legacy: tensors, views and storages in the order of the list") {
  auto const floats = [](std::string const& key, std::int64_t numel) {
    return PickleWriter::Storage{"FloatStorage", key, numel, "torch", {}, true};
  };
  PickleWriter p;
  p.op("}(").text("w").tensor(floats("a", 6), {2, 3}, {3, 1}).text("v");
  p.tensor({"FloatStorage", "a", 6, "torch", std::vector<std::int64_t>{2, 3}, true}, {2}, {1}, 1);
  p.text("l").tensor({"LongStorage", "b", 1, "torch", {}, true}, {}, {});
  auto const pickle = p.op('u').stop();
  Storages const storages = {{"b", raw(std::int64_t{1}, std::int64_t{-9})}, {"a", raw(std::int64_t{6}) + six}};
  auto const text = torch_legacy(pickle, storages);
  auto const read = parse(text);
  CHECK(read.container == "torch legacy");
  CHECK(to_float(read.tensors.at("w")) == Floats{0, 1, 2, 3, 4, 5});
  CHECK(to_float(read.tensors.at("v")) == Floats{3, 4});
  CHECK(to_float(read.tensors.at("l")) == Floats{-9});
  for (std::size_t size = 0; size < text.size(); ++size) CHECK_THROWS_AS(parse(text.substr(0, size)), CheckpointError);

  // The first bytes that PyTorch 2.15 writes with pickle_protocol=3, 4 and 5, and the same number in a later pickle.
  for (auto const& head : {std::string("\x80\x03"), std::string("\x80\x04\x95\x0d\0\0\0\0\0\0\0", 11),
                           std::string("\x80\x05\x95\x0d\0\0\0\0\0\0\0", 11)}) {
    auto const other = parse(head + text.substr(2));
    CHECK(other.container == "torch legacy");
    CHECK(to_float(other.tensors.at("w")) == Floats{0, 1, 2, 3, 4, 5});
    CHECK_THROWS_AS(parse(head + text.substr(2, 12)), CheckpointError);
    CHECK_THROWS_AS(parse(head + text.substr(3)), CheckpointError);
  }

  CHECK_FAILS(CheckpointError, "big-endian machine", parse(torch_legacy(pickle, storages, false)));
  CHECK_FAILS(CheckpointError, "announces 9223372036854775807 elements in the storage 'a'",
              parse(torch_legacy(pickle, {{"a", raw(std::numeric_limits<std::int64_t>::max()) + six}})));
  CHECK_FAILS(CheckpointError, "announces -1 elements",
              parse(torch_legacy(pickle, {{"a", raw(std::int64_t{-1}) + six}})));
  CHECK_FAILS(CheckpointError, "lists the storage 'c', which nothing uses", parse(torch_legacy(pickle, {{"c", six}})));
  CHECK_FAILS(CheckpointError, "lists the storage 'a' twice",
              parse(torch_legacy(pickle, {{"a", raw(std::int64_t{6}) + six}, {"a", raw(std::int64_t{6}) + six}})));
  CHECK_FAILS(CheckpointError, "has 12 bytes, expected 24",
              parse(torch_legacy(pickle, {{"a", raw(std::int64_t{3}) + six.substr(12)},
                                          {"b", raw(std::int64_t{1}, std::int64_t{1})}})));
  auto const view = PickleWriter()
                        .op("}(")
                        .text("v")
                        .tensor({"FloatStorage", "a", 6, "torch", std::vector<std::int64_t>{4, 3}, true}, {1}, {1})
                        .op('u')
                        .stop();
  CHECK_FAILS(CheckpointError, "view that reaches outside", parse(torch_legacy(view, storages)));
  auto magic = text;
  magic.replace(magic.find(raw(std::uint16_t{1001})), 2, raw(std::uint16_t{1002}));
  CHECK_FAILS(CheckpointError, "unknown protocol number, expected 1001", parse(magic));
  CHECK_FAILS(CheckpointError, "could run code", parse(torch_legacy(PickleWriter().global("os", "system").stop(), {})));
}

TEST_CASE("torch: files that PyTorch wrote hold the tensors of their safetensors twin") {
  auto const folder = test_data("checkpoints");
  bool found = false;
  if (std::filesystem::exists(folder / "tiny.safetensors")) {
    auto const expected = read_safetensors(folder / "tiny.safetensors");
    for (auto const* name : {"tiny_zip.pth", "tiny_legacy.pth", "tiny_statedict.pth", "tiny_trainer.pth"}) {
      if (!std::filesystem::exists(folder / name)) continue;
      found = true;
      INFO(name);
      CHECK(difference(expected, read_torch_checkpoint(folder / name)) == "");
    }
  }
  // OpenAI's archive mixes types, so values are compared.
  if (std::filesystem::exists(folder / "tiny_openai.pt") && std::filesystem::exists(folder / "tiny_clip.safetensors")) {
    found = true;
    auto const expected = read_safetensors(folder / "tiny_clip.safetensors");
    auto const openai = read_torch_checkpoint(folder / "tiny_openai.pt");
    CHECK(openai.container == "torchscript");
    CHECK(openai.metadata.at("context_length") == "77");
    REQUIRE(openai.tensors.size() == expected.tensors.size());
    bool half = false;
    for (auto const& entry : expected.tensors) {
      auto const& name = entry.first;
      auto const& tensor = entry.second;
      INFO(name);
      REQUIRE(openai.tensors.contains(name));
      CHECK(openai.tensors.at(name).shape == tensor.shape);
      CHECK(to_float(openai.tensors.at(name)) == to_float(tensor));
      half = half || openai.tensors.at(name).dtype == DType::f16;
    }
    CHECK(half);
  }
  if (!found) MESSAGE("skipped: no checkpoints in ", folder.string());
}

TEST_CASE("torch: the acceptance weights") {
  auto const torch = shared_file("oracle/data/weights/tiny.pth");
  auto const safe = shared_file("oracle/data/weights/tiny.safetensors");
  if (!torch || !safe) {
    MESSAGE("skipped: no acceptance data");
    return;
  }
  CHECK(difference(read_safetensors(*safe), read_torch_checkpoint(*torch)) == "");
}
