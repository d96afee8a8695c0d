// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>
#include <exception>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

#include "kovos/core/error.hpp"
#include "kovos/core/extents.hpp"
#include "kovos/core/scalar.hpp"

namespace kovos {

namespace detail {
template <class T, std::size_t Rank>
struct AddPointers {
  using type = typename AddPointers<T, Rank - 1>::type*;
};
template <class T>
struct AddPointers<T, 0> {
  using type = T;
};

// Functions of their own, so that what is called everywhere stays small.
KOVOS_COLD [[noreturn]] inline void refuse_reshape(SentencePart from, std::size_t got, SentencePart to,
                                                   std::size_t expected) {
  fail<ShapeError>("[reshape] ", from, " has ", got, " elements, ", to, " has ", expected);
}
KOVOS_COLD [[noreturn]] inline void refuse_slice(std::size_t first, std::size_t count, std::size_t extent) {
  fail<ShapeError>("[slice] ", count, " elements from ", first, " on leave the leading extent ", extent);
}
}  // namespace detail

/// A non-owning, contiguous, row-major array: a pointer and its extents. Trivially copyable into device code.
/// Memory is the Kokkos memory space the pointer lives in.
template <class T, class Shape, class Memory = Kokkos::HostSpace>
class TensorView {
 public:
  using value_type = std::remove_cv_t<T>;
  using element_type = T;
  using extents_type = Shape;
  using memory_space = Memory;
  static constexpr std::size_t rank() { return Shape::rank(); }

  TensorView() = default;
  KOKKOS_FUNCTION TensorView(T* data, Shape extents) : data_(data), extents_(extents) {}

  KOKKOS_FUNCTION T* data() const { return data_; }
  KOKKOS_FUNCTION Shape const& extents() const { return extents_; }
  KOKKOS_FUNCTION std::size_t extent(std::size_t i) const { return extents_[i]; }
  KOKKOS_FUNCTION std::size_t size() const { return extents_.size(); }

  /// Element (i, j, ...), one index per axis, unchecked.
  template <class... I>
  requires(sizeof...(I) == Shape::rank()) KOKKOS_FUNCTION T& operator()(I... indices) const {
    std::size_t offset = 0;
    std::size_t axis = 0;
    ((offset = offset * extents_[axis++] + static_cast<std::size_t>(indices)), ...);
    return data_[offset];
  }

  /// The same memory with all extents known at run time only: kernels called with it are compiled once for all shapes.
  auto dynamic() const {
    using Result = dynamic_extents<Shape::rank()>;
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return TensorView<T, Result, Memory>(data_, Result(extents_[I]...));
    }
    (std::make_index_sequence<Shape::rank()>{});
  }

  /// The same memory as an unmanaged Kokkos view (LayoutRight); no copy.
  auto kokkos_view() const {
    using View = Kokkos::View<typename detail::AddPointers<T, Shape::rank()>::type, Kokkos::LayoutRight, Memory,
                              Kokkos::MemoryTraits<Kokkos::Unmanaged>>;
    return [&]<std::size_t... I>(std::index_sequence<I...>) { return View(data_, extents_[I]...); }
    (std::make_index_sequence<Shape::rank()>{});
  }

 protected:
  T* data_ = nullptr;
  Shape extents_{};
};

namespace detail {
/// Bytes for a tensor of these extents. Throws DeviceError if there are not as many.
template <class Memory, class Shape>
void* allocate(char const* label, std::size_t bytes, Shape const& extents) {
  try {
    return Kokkos::kokkos_malloc<Memory>(label, bytes);
  } catch (std::exception const&) {  // Kokkos has a type of its own for each memory
    fail<DeviceError>("[Tensor] ", (bytes >> 20) + 1, " MiB for a tensor ", extents.to_string(),
                      " cannot be had: the memory ", Memory::name(),
                      " is used up; take smaller pictures or batches, fewer classes at once, or smaller tiles of them");
  }
}
}  // namespace detail

/// A tensor that shares ownership of its memory, as Kokkos::View does: copies are shallow, the last one releases.
/// The owner may be an allocation, a block of a Workspace, a mapped file, or an object of the user's own.
template <class T, class Shape, class Memory = Kokkos::HostSpace>
class Tensor : public TensorView<T, Shape, Memory> {
 public:
  using view_type = TensorView<T, Shape, Memory>;

  Tensor() = default;

  /// Allocates uninitialised memory. Throws DeviceError if there is not enough.
  explicit Tensor(Shape extents) : view_type(nullptr, extents) {
    if (extents.size() == 0) return;
    using Mutable = std::remove_const_t<T>;
    auto* memory =
        static_cast<Mutable*>(detail::allocate<Memory>("kovos::Tensor", extents.size() * sizeof(Mutable), extents));
    owner_ =
        std::shared_ptr<void const>(memory, [](void const* p) { Kokkos::kokkos_free<Memory>(const_cast<void*>(p)); });
    this->data_ = memory;
  }

  /// Refers to memory that lives as long as owner; an empty owner means the caller keeps it alive.
  Tensor(T* data, Shape extents, std::shared_ptr<void const> owner)
      : view_type(data, extents), owner_(std::move(owner)) {}

  /// A tensor of mutable elements is also one of constant elements.
  template <class U>
  requires(!std::is_same_v<U, T> && std::is_same_v<U const, T>) Tensor(Tensor<U, Shape, Memory> const& other)
      : view_type(other.data(), other.extents()), owner_(other.owner()) {}

  view_type const& view() const { return *this; }
  bool empty() const { return this->data_ == nullptr; }
  std::shared_ptr<void const> const& owner() const { return owner_; }

  /// The same elements under other extents. Throws ShapeError if the number of elements differs.
  template <class Other>
  Tensor<T, Other, Memory> reshape(Other extents) const {
    if (extents.size() != this->size()) detail::refuse_reshape(this->extents(), this->size(), extents, extents.size());
    return {this->data_, extents, owner_};
  }

  /// Elements [first, first + count) of the leading axis; shares memory.
  auto slice(std::size_t first, std::size_t count) const {
    static_assert(Shape::rank() > 0, "kovos::Tensor::slice: a tensor of rank 0 has no leading axis");
    if (first > this->extent(0) || count > this->extent(0) - first) detail::refuse_slice(first, count, this->extent(0));
    std::size_t const stride = this->extent(0) == 0 ? 0 : this->size() / this->extent(0);
    using Result = dynamic_extents<Shape::rank()>;
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return Tensor<T, Result, Memory>(this->data_ + first * stride, Result(count, this->extent(I + 1)...), owner_);
    }
    (std::make_index_sequence<Shape::rank() - 1>{});
  }

 private:
  std::shared_ptr<void const> owner_;
};

/// A tensor whose extents are all known at run time only.
template <class T, std::size_t Rank, class Memory = Kokkos::HostSpace>
using DynamicTensor = Tensor<T, dynamic_extents<Rank>, Memory>;

/// Anything with row-major contiguous elements, extents and a memory space: Tensor, TensorView, Parameter.
template <class X>
concept tensor_like = requires(X const& x) {
  typename X::value_type;
  typename X::memory_space;
  { X::rank() } -> std::convertible_to<std::size_t>;
  { x.extent(0) } -> std::convertible_to<std::size_t>;
  x.data();
};

/// Shares a contiguous LayoutRight Kokkos view as a Tensor; no copy. Throws ShapeError if it is strided.
template <class View>
auto from_kokkos(View const& view) {
  static_assert(Kokkos::is_view_v<View>, "kovos::from_kokkos: the argument must be a Kokkos::View");
  static_assert(std::is_same_v<typename View::array_layout, Kokkos::LayoutRight> || View::rank == 1,
                "kovos::from_kokkos: only LayoutRight views share memory with a row-major Tensor; copy to one first");
  require<ShapeError>(view.span_is_contiguous(), "[from_kokkos] view '", view.label(), "' is not contiguous");
  using Shape = dynamic_extents<View::rank>;
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    return Tensor<typename View::value_type, Shape, typename View::memory_space>(view.data(), Shape(view.extent(I)...),
                                                                                 std::make_shared<View>(view));
  }
  (std::make_index_sequence<View::rank>{});
}

/// Shares the caller's memory as a host tensor; the caller keeps it alive.
template <class T, std::size_t... E>
Tensor<T, Extents<E...>> from_span(T* data, Extents<E...> extents) {
  return {data, extents, nullptr};
}

/// The same for a span. Throws ShapeError if it has another number of elements than the extents.
template <class T, std::size_t N, std::size_t... E>
Tensor<T, Extents<E...>> from_span(std::span<T, N> data, Extents<E...> extents) {
  require<ShapeError>(data.size() == extents.size(), "[from_span] the span has ", data.size(), " elements, ", extents,
                      " has ", extents.size());
  return {data.data(), extents, nullptr};
}

/// All elements of a host tensor in row-major order; no copy.
template <class T, class Shape, class Memory>
std::span<T> as_span(TensorView<T, Shape, Memory> const& tensor) {
  static_assert(bool(Kokkos::SpaceAccessibility<Kokkos::HostSpace, Memory>::accessible),
                "kovos::as_span: the memory is not the host's; call to_host first");
  return {tensor.data(), tensor.size()};
}

}  // namespace kovos
