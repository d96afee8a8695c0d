// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kovos/core/config.hpp"
#include "kovos/core/dtype.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"

// A reader of the pickles that torch.save writes. It builds an inert tree and never calls, imports or creates anything
// a file names: storages and tensors become descriptions, the few containers become lists, everything else becomes an
// opaque node that remembers only its name. All nodes lie in one array and refer to each other by number, so that
// cycles are harmless and nothing is destroyed recursively.

namespace kovos::detail {

/// An element type of PyTorch storages. `dtype` is empty for kinds that Kovos cannot hold (complex, quantised).
struct TorchType {
  std::string_view storage;  // "FloatStorage"
  std::string_view name;     // "float32"
  std::size_t size;
  std::optional<DType> dtype;
};

inline constexpr std::array torch_types = {
    TorchType{"FloatStorage", "float32", 4, DType::f32},
    TorchType{"DoubleStorage", "float64", 8, DType::f64},
    TorchType{"HalfStorage", "float16", 2, DType::f16},
    TorchType{"BFloat16Storage", "bfloat16", 2, DType::bf16},
    TorchType{"LongStorage", "int64", 8, DType::i64},
    TorchType{"IntStorage", "int32", 4, DType::i32},
    TorchType{"ShortStorage", "int16", 2, DType::i16},
    TorchType{"CharStorage", "int8", 1, DType::i8},
    TorchType{"ByteStorage", "uint8", 1, DType::u8},
    TorchType{"BoolStorage", "bool", 1, DType::boolean},
    TorchType{"UntypedStorage", "untyped", 1, std::nullopt},
    TorchType{"ComplexFloatStorage", "complex64", 8, std::nullopt},
    TorchType{"ComplexDoubleStorage", "complex128", 16, std::nullopt},
    TorchType{"QInt8Storage", "qint8", 1, std::nullopt},
    TorchType{"QUInt8Storage", "quint8", 1, std::nullopt},
    TorchType{"QInt32Storage", "qint32", 4, std::nullopt},
    TorchType{"QUInt4x2Storage", "quint4x2", 1, std::nullopt},
    TorchType{"QUInt2x4Storage", "quint2x4", 1, std::nullopt},
    TorchType{"", "uint16", 2, DType::u16},
    TorchType{"", "uint32", 4, DType::u32},
    TorchType{"", "uint64", 8, DType::u64},
    TorchType{"", "float8_e4m3fn", 1, DType::f8_e4m3},
    TorchType{"", "float8_e5m2", 1, DType::f8_e5m2},
    TorchType{"", "float8_e4m3fnuz", 1, std::nullopt},
    TorchType{"", "float8_e5m2fnuz", 1, std::nullopt},
    TorchType{"", "float8_e8m0fnu", 1, std::nullopt},
    TorchType{"", "float4_e2m1fn_x2", 1, std::nullopt},
    TorchType{"", "complex32", 4, std::nullopt},
    TorchType{"", "bcomplex32", 4, std::nullopt},
    TorchType{"", "bits1x8", 1, std::nullopt},
    TorchType{"", "bits2x4", 1, std::nullopt},
    TorchType{"", "bits4x2", 1, std::nullopt},
    TorchType{"", "bits8", 1, std::nullopt},
    TorchType{"", "bits16", 2, std::nullopt},
};

/// A persistent id: `numel` elements of `type` in the record `key`, beginning at element `offset` (legacy views only).
struct PickledStorage {
  std::string_view key;
  std::size_t type = 0;  // index into torch_types
  std::size_t numel = 0;
  std::size_t offset = 0;
};

/// A strided view of a storage, in elements of `type`. The range was checked against the storage.
struct PickledTensor {
  std::size_t storage = 0;  // index into Pickle::storages
  std::size_t type = 0;
  std::size_t offset = 0;
  bool negated = false;  // the values are those of the storage times -1, as in z.conj().imag
  std::vector<std::size_t> shape, strides;
};

/// What a global name means to this reader.
enum class PickleGlobal : std::uint8_t {
  unknown,
  dictionary,
  identity,  // returns its first argument
  size,
  rebuild_tensor,
  rebuild_tensor_v2,
  rebuild_tensor_v3,
  rebuild_parameter,
  rebuild_from_type,  // (function, class, arguments, attributes)
  rebuild_on_device,  // (tensor of the CPU, dtype, device, ...)
  rebuild_other,      // a tensor that is no strided view of a storage
  script_class,
};

struct PickleNode {
  enum class Kind : std::uint8_t {
    none,
    boolean,
    integer,
    text,
    tuple,
    list,
    dictionary,
    global,
    storage_type,
    dtype,
    storage,
    tensor,
    script_object,  // TorchScript module: attributes as in a dictionary
    opaque,         // anything else; `module` and `text` say what made it
  };
  Kind kind = Kind::none;
  PickleGlobal global = PickleGlobal::unknown;
  bool holds_tensor = false;         // opaque, and a tensor or made from a tensor or a storage
  std::int64_t integer = 0;          // value, or index into storages, tensors, torch_types
  std::string_view module, text;     // of a global or an opaque; text of a text
  std::vector<std::uint32_t> items;  // elements, or key, value, key, value, ...; opaque: state or arguments
};

/// The tree; texts point into the pickle's bytes.
struct Pickle {
  std::vector<PickleNode> nodes;
  std::vector<PickledStorage> storages;
  std::vector<PickledTensor> tensors;
  std::uint32_t root = 0;

  PickleNode const& operator[](std::uint32_t index) const { return nodes[index]; }

  /// The value of a text key (the last one, as in Python), if `node` has it.
  std::optional<std::uint32_t> find(std::uint32_t node, std::string_view key) const {
    auto const& items = nodes[node].items;
    for (std::size_t i = items.size(); i >= 2; i -= 2) {
      auto const& name = nodes[items[i - 2]];
      if (name.kind == PickleNode::Kind::text && name.text == key) return items[i - 1];
    }
    return std::nullopt;
  }
};

/// Functions and classes that an attacker names and an ordinary checkpoint does not; refused wherever they occur,
/// although nothing is run here, because the same file would be dangerous in Python. All other unknown names are
/// opaque: training checkpoints name whatever their authors kept beside the weights, builtins.getattr among them.
inline bool is_dangerous_global(std::string_view module, std::string_view name) {
  static constexpr std::array<std::string_view, 22> modules = {
      "posix", "nt",     "sys",      "subprocess", "shutil",   "socket",    "pty",    "runpy",
      "imp",   "pickle", "_pickle",  "cPickle",    "marshal",  "code",      "codeop", "pdb",
      "bdb",   "timeit", "cProfile", "popen2",     "commands", "webbrowser"};
  static constexpr std::array<std::string_view, 6> packages = {"os",      "ctypes",          "importlib",
                                                               "asyncio", "multiprocessing", "pip"};
  static constexpr std::array<std::string_view, 15> builtins = {
      "eval",      "exec",  "execfile",   "compile", "__import__", "open",   "file", "input",
      "raw_input", "apply", "breakpoint", "reload",  "globals",    "locals", "vars"};
  auto const top = module.substr(0, module.find('.'));
  if (top == "builtins" || top == "__builtin__") {
    return std::find(builtins.begin(), builtins.end(), name.substr(0, name.find('.'))) != builtins.end();
  }
  // A module has nothing below it: "code.models" is somebody's folder.
  return std::find(modules.begin(), modules.end(), module) != modules.end() ||
         std::find(packages.begin(), packages.end(), top) != packages.end();
}

/// Interprets one pickle. `where` begins every message.
class Unpickler {
 public:
  /// Limits that no checkpoint comes near; each bounds memory or time whatever the file says.
  static constexpr std::size_t most_bytes = std::size_t{256} << 20;
  static constexpr std::size_t most_nodes = 4'000'000;
  static constexpr std::size_t most_items = 32'000'000;
  static constexpr std::size_t most_extents = 64;

  Unpickler(std::span<std::byte const> bytes, std::string where, bool legacy)
      : bytes_(bytes.first(std::min(bytes.size(), most_bytes))), where_(std::move(where)), legacy_(legacy) {}

  /// Reads up to and including STOP. Throws CheckpointError.
  Pickle read() {
    if (take_byte() != 0x80) complain("does not begin as a pickle of protocol 2 or later does");
    auto const protocol = take_byte();
    if (protocol < 2 || protocol > 5) complain("has pickle protocol ", unsigned{protocol}, ", expected 2 to 5");
    while (step()) {
    }
    return std::move(result_);
  }

  /// Bytes read so far: after read(), the length of the pickle.
  std::size_t position() const { return position_; }

 private:
  using Kind = PickleNode::Kind;
  using Index = std::uint32_t;

  template <class... Parts>
  [[noreturn]] void complain(Parts const&... parts) const {
    fail<CheckpointError>(where_, " ", parts..., " (pickle byte ", position_, ")");
  }

  // Input ------------------------------------------------------------------------------------------------------------

  std::span<std::byte const> take(std::uint64_t count) {
    if (count > bytes_.size() - position_) {
      complain("ends in the middle of a value, ", count, " bytes wanted and ", bytes_.size() - position_,
               " left: is it truncated, or longer than a pickle of weights can be?");
    }
    auto const taken = bytes_.subspan(position_, static_cast<std::size_t>(count));
    position_ += static_cast<std::size_t>(count);
    return taken;
  }
  std::uint8_t take_byte() { return std::to_integer<std::uint8_t>(take(1)[0]); }
  template <class T>
  T take_number() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::string_view take_text(std::uint64_t count) {
    auto const taken = take(count);
    return {reinterpret_cast<char const*>(taken.data()), taken.size()};
  }
  std::string_view take_line() {
    constexpr std::size_t longest = 1024;
    auto const rest = bytes_.subspan(position_, std::min(longest, bytes_.size() - position_));
    auto const end = std::find(rest.begin(), rest.end(), std::byte{'\n'});
    if (end == rest.end()) complain("has a name without an end");
    auto const line = take_text(static_cast<std::uint64_t>(end - rest.begin()));
    take(1);
    return line;
  }

  // The tree and the stack -------------------------------------------------------------------------------------------

  PickleNode& at(Index index) { return result_.nodes[index]; }
  Index make(PickleNode node) {
    if (result_.nodes.size() >= most_nodes) complain("holds more than ", most_nodes, " objects");
    result_.nodes.push_back(std::move(node));
    return static_cast<Index>(result_.nodes.size() - 1);
  }
  Index make(Kind kind, std::int64_t integer = 0, std::string_view text = {}) {
    PickleNode node;
    node.kind = kind;
    node.integer = integer;
    node.text = text;
    return make(std::move(node));
  }
  Index make_container(Kind kind, std::vector<Index> items) {
    PickleNode node;
    node.kind = kind;
    node.items = std::move(items);
    return make(std::move(node));
  }
  Index make_opaque(std::string_view module, std::string_view name, bool holds_tensor = false) {
    PickleNode node;
    node.kind = Kind::opaque;
    node.module = module;
    node.text = name;
    node.holds_tensor = holds_tensor;
    return make(std::move(node));
  }

  void push(Index index) {
    if (stack_.size() >= most_items) complain("needs a stack of more than ", most_items, " values");
    stack_.push_back(index);
  }
  std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  Index top() const {
    if (stack_.size() <= floor()) complain("takes a value from an empty stack");
    return stack_.back();
  }
  Index pop() {
    Index const index = top();
    stack_.pop_back();
    return index;
  }
  std::vector<Index> pop_to_mark() {
    if (marks_.empty()) complain("takes a group that was never begun");
    auto const from = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<Index> items(from, stack_.end());
    stack_.erase(from, stack_.end());
    marks_.pop_back();
    charge(items.size());
    return items;
  }
  void charge(std::size_t items) {
    items_ += items;
    if (items_ > most_items) complain("holds more than ", most_items, " elements");
  }
  void remember(std::uint64_t slot) {
    if (slot > most_items) complain("remembers a value under the number ", slot, ", expected a small one");
    memo_[slot] = top();
  }
  void recall(std::uint64_t slot) {
    auto const found = memo_.find(slot);
    if (found == memo_.end()) complain("recalls value ", slot, ", which it never remembered");
    push(found->second);
  }

  // What values mean -------------------------------------------------------------------------------------------------

  KOVOS_COLD std::string describe(Index index) const {
    auto const& node = result_.nodes[index];
    switch (node.kind) {
      case Kind::none:
        return "None";
      case Kind::boolean:
        return "a boolean";
      case Kind::integer:
        return "an integer";
      case Kind::text:
        return "a text";
      case Kind::tuple:
        return "a tuple";
      case Kind::list:
        return "a list";
      case Kind::dictionary:
        return "a dictionary";
      case Kind::storage_type:
      case Kind::dtype:
        return "an element type";
      case Kind::storage:
        return "a storage";
      case Kind::tensor:
        return "a tensor";
      case Kind::script_object:
        return "a TorchScript object";
      case Kind::global:
      case Kind::opaque:
        return in_quotes(std::string(node.module) + "." + std::string(node.text));
    }
    return "a value";
  }

  bool is_size(Index index) const {
    auto const& node = result_.nodes[index];
    return node.kind == Kind::integer && node.integer >= 0;
  }
  std::size_t as_size(Index index, std::string_view what) const {
    if (!is_size(index)) complain("has ", describe(index), " as the ", what, " of a tensor, expected a number >= 0");
    return static_cast<std::size_t>(result_.nodes[index].integer);
  }
  KOVOS_COLD std::vector<std::size_t> as_sizes(Index index, std::string_view what) const {
    auto const& node = result_.nodes[index];
    if (node.kind != Kind::tuple && node.kind != Kind::list) {
      complain("has ", describe(index), " as the ", what, " of a tensor, expected a tuple");
    }
    if (node.items.size() > most_extents) {
      complain("has a tensor of ", node.items.size(), " dimensions, expected at most ", most_extents);
    }
    std::vector<std::size_t> sizes;
    for (auto item : node.items) sizes.push_back(as_size(item, what));
    return sizes;
  }

  KOVOS_COLD Index global(std::string_view module, std::string_view name) {
    if (is_dangerous_global(module, name)) {
      complain("names ", in_quotes(std::string(module) + "." + std::string(name)),
               ", which could run code when loaded by Python: the file is not just weights, do not use it");
    }
    PickleNode node;
    node.kind = Kind::global;
    node.module = module;
    node.text = name;
    for (std::size_t type = 0; type < torch_types.size(); ++type) {
      auto const& known = torch_types[type];
      bool const storage =
          !known.storage.empty() && name == known.storage && (module == "torch" || module == "torch.cuda");
      bool const untyped = known.name == "untyped" && module == "torch.storage" &&
                           (name == "UntypedStorage" || name == "_UntypedStorage");
      bool const dtype = module == "torch" && name == known.name && known.name != "untyped";
      if (!storage && !untyped && !dtype) continue;
      node.kind = dtype ? Kind::dtype : Kind::storage_type;
      node.integer = static_cast<std::int64_t>(type);
      return make(std::move(node));
    }
    if (module == "collections" && (name == "OrderedDict" || name == "defaultdict" || name == "Counter")) {
      node.global = PickleGlobal::dictionary;
    } else if ((module == "builtins" || module == "__builtin__") && name == "dict") {
      node.global = PickleGlobal::dictionary;
    } else if (module == "torch" && name == "Size") {
      node.global = PickleGlobal::size;
    } else if (module == "torch._utils" && name == "_rebuild_tensor") {
      node.global = PickleGlobal::rebuild_tensor;
    } else if (module == "torch._utils" && name == "_rebuild_tensor_v2") {
      node.global = PickleGlobal::rebuild_tensor_v2;
    } else if (module == "torch._utils" && name == "_rebuild_tensor_v3") {
      node.global = PickleGlobal::rebuild_tensor_v3;
    } else if ((module == "torch._utils" &&
                (name == "_rebuild_parameter" || name == "_rebuild_parameter_with_state")) ||
               (module == "torch.nn.parameter" && name == "Parameter")) {
      node.global = PickleGlobal::rebuild_parameter;
    } else if (module == "torch._tensor" && (name == "_rebuild_from_type_v2" || name == "_rebuild_from_type")) {
      node.global = PickleGlobal::rebuild_from_type;
    } else if (module == "torch._utils" && name == "_rebuild_device_tensor_from_cpu_tensor") {
      node.global = PickleGlobal::rebuild_on_device;
    } else if ((module == "torch._utils" && name.starts_with("_rebuild_")) ||
               (module == "torch.nested._internal.nested_tensor" && name == "_rebuild_njt") ||
               (module == "torch.nn.parameter" && name.starts_with("Uninitialized"))) {
      node.global = PickleGlobal::rebuild_other;
    } else if (module == "torch.jit._pickle" || (module == "torch.serialization" && name == "_get_layout")) {
      node.global = PickleGlobal::identity;
    } else if (module.starts_with("__torch__")) {
      node.global = PickleGlobal::script_class;
    }
    return make(std::move(node));
  }

  KOVOS_COLD Index reduce(Index callable, Index arguments) {
    auto const& function = at(callable);
    if (at(arguments).kind != Kind::tuple) complain("calls ", describe(callable), " without a tuple of arguments");
    auto const& args = at(arguments).items;
    if (function.kind == Kind::opaque) return make_opaque(function.module, function.text, holds_tensor(args));
    if (function.kind != Kind::global) complain("calls ", describe(callable), ", which is not a function");
    auto const need = [&](std::size_t count) {
      if (args.size() < count) {
        complain("gives ", describe(callable), " ", args.size(), " arguments, expected at least ", count);
      }
    };
    switch (function.global) {
      case PickleGlobal::dictionary:
        return make_container(Kind::dictionary, pairs_of(function.text, args));
      case PickleGlobal::identity:
        need(1);
        return args[0];
      case PickleGlobal::size:
        need(1);
        if (at(args[0]).kind != Kind::tuple && at(args[0]).kind != Kind::list) complain("has a torch.Size of no tuple");
        return args[0];
      case PickleGlobal::rebuild_parameter:
        need(1);
        if (at(args[0]).kind != Kind::tensor && !at(args[0]).holds_tensor) {
          complain("has a parameter made of ", describe(args[0]), ", expected a tensor");
        }
        return args[0];
      case PickleGlobal::rebuild_tensor:
        need(4);
        return rebuild(args, std::nullopt, false);
      case PickleGlobal::rebuild_tensor_v2:
        need(6);
        return rebuild(args, std::nullopt, args.size() > 6 && is_negated(args[6]));
      case PickleGlobal::rebuild_tensor_v3:
        need(7);
        if (at(args[6]).kind == Kind::global) return make_other_tensor(callable, arguments);
        return rebuild(args, args[6], args.size() > 7 && is_negated(args[7]));
      case PickleGlobal::rebuild_from_type: {
        need(3);
        // The class and the attributes add nothing to the values. Wrappers do not nest; if they did, in a lying file,
        // recursion could go deep.
        auto const& inner = at(args[0]);
        bool const nests = inner.kind != Kind::global || inner.global == PickleGlobal::rebuild_from_type;
        return nests ? make_other_tensor(callable, arguments) : reduce(args[0], args[2]);
      }
      case PickleGlobal::rebuild_on_device: {
        need(2);
        auto const& tensor = at(args[0]);
        bool const same = tensor.kind == Kind::tensor && at(args[1]).kind == Kind::dtype &&
                          result_.tensors[static_cast<std::size_t>(tensor.integer)].type ==
                              static_cast<std::size_t>(at(args[1]).integer);
        return same ? args[0] : make_other_tensor(callable, arguments);
      }
      case PickleGlobal::rebuild_other:
        return make_other_tensor(callable, arguments);
      case PickleGlobal::script_class:
      case PickleGlobal::unknown:
        break;
    }
    return make_opaque(function.module, function.text, holds_tensor(args));
  }

  /// A tensor that is no strided view of a storage, or of no type we know: opaque, with the arguments it was made from.
  KOVOS_COLD Index make_other_tensor(Index function, Index arguments) {
    charge(at(arguments).items.size());
    Index const made = make_opaque(at(function).module, at(function).text, true);
    at(made).global = PickleGlobal::rebuild_other;
    at(made).items = at(arguments).items;
    return made;
  }

  /// The marks of a lazy view, {'neg': True} or {'conj': True}. The second changes only complex numbers.
  bool is_negated(Index marks) const {
    auto const& node = result_.nodes[marks];
    if (node.kind == Kind::none) return false;
    constexpr std::size_t most_marks = 16;
    if (node.kind != Kind::dictionary || node.items.size() > 2 * most_marks) {
      complain("has a tensor marked with ", describe(marks), ", expected a small dictionary");
    }
    bool negated = false;
    for (std::size_t i = 0; i + 1 < node.items.size(); i += 2) {
      auto const& key = result_.nodes[node.items[i]];
      auto const& value = result_.nodes[node.items[i + 1]];
      bool const known = key.kind == Kind::text && (key.text == "neg" || key.text == "conj");
      if (!known || value.kind != Kind::boolean) {
        complain("has a tensor with the mark ", key.kind == Kind::text ? in_quotes(key.text) : describe(node.items[i]),
                 ", expected 'neg' or 'conj' and a boolean: its values would not be those of its storage");
      }
      if (key.text == "neg") negated = value.integer != 0;
    }
    return negated;
  }

  /// Python 2 wrote OrderedDict([[key, value], ...]); today the arguments are empty.
  KOVOS_COLD std::vector<Index> pairs_of(std::string_view name, std::vector<Index> const& args) {
    std::vector<Index> items;
    if (name != "OrderedDict" || args.empty() || at(args[0]).kind != Kind::list) return items;
    for (auto pair : at(args[0]).items) {
      auto const& both = at(pair).items;
      if ((at(pair).kind != Kind::list && at(pair).kind != Kind::tuple) || both.size() != 2) {
        complain("has an OrderedDict made of ", describe(pair), ", expected pairs");
      }
      charge(2);
      items.insert(items.end(), both.begin(), both.end());
    }
    return items;
  }

  bool holds_tensor(std::vector<Index> const& args) const {
    for (std::size_t i = 0; i < std::min<std::size_t>(args.size(), 16); ++i) {
      auto const& node = result_.nodes[args[i]];
      if (node.kind == Kind::tensor || node.kind == Kind::storage || node.holds_tensor) return true;
    }
    return false;
  }

  /// (storage, offset, size, stride, ...): checks that every element lies in the storage.
  KOVOS_COLD Index rebuild(std::vector<Index> const& args, std::optional<Index> dtype, bool negated) {
    if (at(args[0]).kind != Kind::storage) complain("has a tensor made of ", describe(args[0]), ", expected a storage");
    PickledTensor tensor;
    tensor.negated = negated;
    tensor.storage = static_cast<std::size_t>(at(args[0]).integer);
    auto const& storage = result_.storages[tensor.storage];
    tensor.type = storage.type;
    if (dtype) {
      if (at(*dtype).kind != Kind::dtype) complain("has a tensor of dtype ", describe(*dtype), ", which is unknown");
      tensor.type = static_cast<std::size_t>(at(*dtype).integer);
    }
    tensor.offset = as_size(args[1], "offset");
    tensor.shape = as_sizes(args[2], "size");
    tensor.strides = as_sizes(args[3], "stride");
    if (tensor.shape.size() != tensor.strides.size()) {
      complain("has a tensor with ", tensor.shape.size(), " sizes and ", tensor.strides.size(), " strides");
    }

    // A storage counts its own elements, a tensor counts elements of its dtype.
    std::size_t const available = storage.numel * torch_types[storage.type].size / torch_types[tensor.type].size;
    bool const empty = std::find(tensor.shape.begin(), tensor.shape.end(), std::size_t{0}) != tensor.shape.end();
    std::size_t last = tensor.offset;
    bool fits = empty ? tensor.offset <= available : tensor.offset < available;
    for (std::size_t k = 0; fits && !empty && k < tensor.shape.size(); ++k) {
      std::size_t const steps = tensor.shape[k] - 1;
      std::size_t const room = available - 1 - last;
      fits = tensor.strides[k] == 0 || steps <= room / tensor.strides[k];
      if (fits) last += steps * tensor.strides[k];
    }
    if (!fits) {
      complain("has a tensor that reaches outside its storage ", in_quotes(storage.key), " of ", available,
               " elements");
    }
    result_.tensors.push_back(std::move(tensor));
    return make(Kind::tensor, static_cast<std::int64_t>(result_.tensors.size() - 1));
  }

  /// ('storage', type, key, location, numel[, view]); in whole-model files also ('module', class, file, source).
  KOVOS_COLD Index persistent(Index id) {
    auto const& node = at(id);
    if (node.kind != Kind::tuple || node.items.empty() || at(node.items[0]).kind != Kind::text) {
      complain("has a persistent id that is ", describe(id), ", expected a tuple of PyTorch");
    }
    auto const& items = node.items;
    if (at(items[0]).text == "module" && items.size() >= 2) return items[1];
    if (at(items[0]).text != "storage") complain("has a persistent id of kind ", in_quotes(at(items[0]).text));
    if (items.size() != (legacy_ ? 6u : 5u)) {
      complain("describes a storage by ", items.size(), " values, expected ", legacy_ ? 6 : 5);
    }
    if (at(items[1]).kind != Kind::storage_type) complain("has a storage of the unknown type ", describe(items[1]));
    if (at(items[2]).kind != Kind::text) complain("has a storage whose key is ", describe(items[2]));
    PickledStorage storage;
    storage.type = static_cast<std::size_t>(at(items[1]).integer);
    storage.key = at(items[2]).text;
    storage.numel = as_size(items[4], "storage size");
    if (legacy_ && at(items[5]).kind != Kind::none) {
      auto const& view = at(items[5]);
      if (view.kind != Kind::tuple || view.items.size() != 3) {
        complain("has a storage view that is ", describe(items[5]), ", expected three values");
      }
      storage.offset = as_size(view.items[1], "view offset");
      std::size_t const numel = as_size(view.items[2], "view size");
      if (storage.offset > storage.numel || numel > storage.numel - storage.offset) {
        complain("has a view that reaches outside its storage ", in_quotes(storage.key));
      }
      storage.numel = numel;
    }
    constexpr std::size_t most = static_cast<std::size_t>(std::numeric_limits<std::int64_t>::max());
    if (storage.numel > most / 16) complain("has a storage of ", storage.numel, " elements, more than memory can hold");
    result_.storages.push_back(storage);
    return make(Kind::storage, static_cast<std::int64_t>(result_.storages.size() - 1));
  }

  KOVOS_COLD Index new_object(Index type, Index arguments) {
    auto const& node = at(type);
    if (at(arguments).kind != Kind::tuple) complain("creates ", describe(type), " without a tuple of arguments");
    if (node.kind == Kind::opaque) return make_opaque(node.module, node.text);
    if (node.kind != Kind::global) complain("creates an object of ", describe(type), ", which is not a class");
    if (node.global == PickleGlobal::script_class) return make(Kind::script_object, 0, node.text);
    if (node.global == PickleGlobal::dictionary) return make_container(Kind::dictionary, {});
    return make_opaque(node.module, node.text, holds_tensor(at(arguments).items));
  }

  KOVOS_COLD void build(Index object, Index state) {
    auto& node = at(object);
    switch (node.kind) {
      case Kind::script_object:
        if (at(state).kind == Kind::dictionary) {
          charge(at(state).items.size());
          node.items = at(state).items;
        }
        return;  // any other state belongs to a class with its own __setstate__: it has no parameters of ours
      case Kind::opaque:
        if (node.global == PickleGlobal::rebuild_other) return;
        charge(1);
        node.items = {state};
        node.holds_tensor = node.holds_tensor || at(state).kind == Kind::tensor;
        return;
      case Kind::dictionary:
      case Kind::tensor:
        return;  // _metadata of a state_dict, Python attributes of a parameter
      default:
        complain("gives a state to ", describe(object), ", which has none");
    }
  }

  void set_items(Index target, std::vector<Index> items) {
    auto& node = at(target);
    if (items.size() % 2 != 0) complain("sets a key without a value");
    if (node.kind == Kind::opaque) return;
    if (node.kind != Kind::dictionary) complain("sets keys of ", describe(target), ", expected a dictionary");
    node.items.insert(node.items.end(), items.begin(), items.end());
  }
  void append(Index target, std::vector<Index> items) {
    auto& node = at(target);
    if (node.kind == Kind::opaque) return;
    if (node.kind != Kind::list) complain("appends to ", describe(target), ", expected a list");
    node.items.insert(node.items.end(), items.begin(), items.end());
  }
  void add_to_set(Index target) {
    if (at(target).kind != Kind::opaque) complain("adds to ", describe(target), ", expected a set");
  }

  void push_integer(std::int64_t value) { push(make(Kind::integer, value)); }
  void push_long(std::uint64_t length) {
    auto const digits = take(length);
    if (digits.size() > 8) return push(make_opaque("builtins", "int"));
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < digits.size(); ++i) value |= std::to_integer<std::uint64_t>(digits[i]) << (8 * i);
    bool const negative = !digits.empty() && (digits.back() & std::byte{0x80}) != std::byte{0};
    if (negative && digits.size() < 8) value |= ~std::uint64_t{0} << (8 * digits.size());
    push_integer(std::bit_cast<std::int64_t>(value));
  }
  void push_tuple(std::size_t count) {
    std::vector<Index> items(count);
    for (std::size_t i = count; i > 0; --i) items[i - 1] = pop();
    charge(count);
    push(make_container(Kind::tuple, std::move(items)));
  }
  void push_bytes(std::uint64_t length) {
    take(length);
    push(make_opaque("builtins", "bytes"));
  }

  /// Runs one opcode; false after STOP. Numbers from the pickle protocol, as CPython's pickletools names them.
  bool step() {
    auto const opcode = take_byte();
    switch (opcode) {
      case '.':  // STOP
        result_.root = pop();
        if (!stack_.empty() || !marks_.empty()) complain("stops with values left over");
        return false;
      case 0x80:  // PROTO
        take(1);
        break;
      case 0x95:  // FRAME: a hint for buffered readers
        take_number<std::uint64_t>();
        break;
      case '(':  // MARK
        push_mark();
        break;
      case '0':  // POP
        pop_value_or_mark();
        break;
      case '1':  // POP_MARK
        pop_to_mark();
        break;
      case 'N':  // NONE
        push(make(Kind::none));
        break;
      case 0x88:  // NEWTRUE
        push(make(Kind::boolean, 1));
        break;
      case 0x89:  // NEWFALSE
        push(make(Kind::boolean, 0));
        break;
      case 'K':  // BININT1
        push_integer(take_byte());
        break;
      case 'M':  // BININT2
        push_integer(take_number<std::uint16_t>());
        break;
      case 'J':  // BININT
        push_integer(take_number<std::int32_t>());
        break;
      case 0x8a:  // LONG1
        push_long(take_byte());
        break;
      case 0x8b:  // LONG4
        push_long(take_number<std::uint32_t>());
        break;
      case 'G':  // BINFLOAT: no tensor needs one
        take(8), push(make_opaque("builtins", "float"));
        break;
      case 'X':  // BINUNICODE
        push_text(take_number<std::uint32_t>());
        break;
      case 0x8c:  // SHORT_BINUNICODE
        push_text(take_byte());
        break;
      case 0x8d:  // BINUNICODE8
        push_text(take_number<std::uint64_t>());
        break;
      case 'U':  // SHORT_BINSTRING
        push_text(take_byte());
        break;
      case 'T':  // BINSTRING
        push_text(take_number<std::uint32_t>());
        break;
      case 'C':  // SHORT_BINBYTES
        push_bytes(take_byte());
        break;
      case 'B':  // BINBYTES
        push_bytes(take_number<std::uint32_t>());
        break;
      case 0x8e:  // BINBYTES8
        push_bytes(take_number<std::uint64_t>());
        break;
      case 0x96:  // BYTEARRAY8: what NumPy arrays of protocol 5 hold
        take(take_number<std::uint64_t>());
        push(make_opaque("builtins", "bytearray"));
        break;
      case '}':  // EMPTY_DICT
        push(make_container(Kind::dictionary, {}));
        break;
      case ']':  // EMPTY_LIST
        push(make_container(Kind::list, {}));
        break;
      case ')':  // EMPTY_TUPLE
        push(make_container(Kind::tuple, {}));
        break;
      case 0x8f:  // EMPTY_SET
        push(make_opaque("builtins", "set"));
        break;
      case 't':  // TUPLE
        push(make_container(Kind::tuple, pop_to_mark()));
        break;
      case 0x85:  // TUPLE1
        push_tuple(1);
        break;
      case 0x86:  // TUPLE2
        push_tuple(2);
        break;
      case 0x87:  // TUPLE3
        push_tuple(3);
        break;
      case 0x91:  // FROZENSET
        pop_to_mark(), push(make_opaque("builtins", "frozenset"));
        break;
      case 'q':  // BINPUT
        remember(take_byte());
        break;
      case 'r':  // LONG_BINPUT
        remember(take_number<std::uint32_t>());
        break;
      case 0x94:  // MEMOIZE
        remember(memo_.size());
        break;
      case 'h':  // BINGET
        recall(take_byte());
        break;
      case 'j':  // LONG_BINGET
        recall(take_number<std::uint32_t>());
        break;
      case 's': {  // SETITEM
        Index const value = pop(), key = pop();
        charge(2);
        set_items(top(), {key, value});
        break;
      }
      case 'u': {  // SETITEMS
        auto items = pop_to_mark();
        set_items(top(), std::move(items));
        break;
      }
      case 'a': {  // APPEND
        Index const value = pop();
        charge(1);
        append(top(), {value});
        break;
      }
      case 'e': {  // APPENDS
        auto items = pop_to_mark();
        append(top(), std::move(items));
        break;
      }
      case 0x90:  // ADDITEMS
        pop_to_mark(), add_to_set(top());
        break;
      case 'c': {  // GLOBAL
        auto const module = take_line(), name = take_line();
        push(global(module, name));
        break;
      }
      case 0x93: {  // STACK_GLOBAL
        Index const name = pop(), module = pop();
        if (at(name).kind != Kind::text || at(module).kind != Kind::text) {
          complain("has a global whose name is not a text");
        }
        push(global(at(module).text, at(name).text));
        break;
      }
      case 'R': {  // REDUCE
        Index const arguments = pop(), callable = pop();
        push(reduce(callable, arguments));
        break;
      }
      case 0x81: {  // NEWOBJ
        Index const arguments = pop(), type = pop();
        push(new_object(type, arguments));
        break;
      }
      case 0x92: {  // NEWOBJ_EX: as NEWOBJ, with named arguments that change nothing here
        pop();
        Index const arguments = pop(), type = pop();
        push(new_object(type, arguments));
        break;
      }
      case 'b': {  // BUILD
        Index const state = pop();
        build(top(), state);
        break;
      }
      case 'Q':  // BINPERSID
        push(persistent(pop()));
        break;
      default:
        refuse(opcode);
    }
    return true;
  }

  void push_text(std::uint64_t length) { push(make(Kind::text, 0, take_text(length))); }
  void push_mark() {
    if (marks_.size() >= most_nodes) complain("opens more than ", most_nodes, " groups");
    marks_.push_back(stack_.size());
  }
  void pop_value_or_mark() {
    if (!marks_.empty() && stack_.size() == marks_.back()) {
      marks_.pop_back();
    } else {
      pop();
    }
  }

  [[noreturn]] void refuse(std::uint8_t opcode) const {
    std::string_view name;
    switch (opcode) {
      case 'i':
        name = "INST";
        break;
      case 'o':
        name = "OBJ";
        break;
      case 'P':
        name = "PERSID";
        break;
      case 0x82:
        name = "EXT1";
        break;
      case 0x83:
        name = "EXT2";
        break;
      case 0x84:
        name = "EXT4";
        break;
      case 0x97:
        name = "NEXT_BUFFER";
        break;
      case 0x98:
        name = "READONLY_BUFFER";
        break;
      default:
        break;
    }
    constexpr std::string_view digits = "0123456789abcdef";
    std::string const code{'0', 'x', digits[opcode >> 4], digits[opcode & 15]};
    complain("uses the pickle opcode ", code, name.empty() ? "" : " ", name,
             ", which torch.save never writes for weights and which is refused: the file is damaged or not just ",
             "weights");
  }

  std::span<std::byte const> bytes_;
  std::string where_;
  bool legacy_;
  std::size_t position_ = 0;
  std::size_t items_ = 0;
  Pickle result_;
  std::vector<Index> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint64_t, Index> memo_;
};

}  // namespace kovos::detail
