// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "kovos/kernels/activation_kind.hpp"
#include "kovos/kernels/resample.hpp"
#include "support/approx.hpp"

/// Every kernel once more, from its formula, in double precision and with the plainest loops. Bounds follow from the
/// number of roundings: a sum of k float products is off by at most (k + 1) unit sum|terms|.
namespace kovos::test::reference {

inline double activated(double x, Activation activation) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return x > 0 ? x : 0;
    case Activation::gelu:
      return x * 0.5 * std::erfc(-x / std::sqrt(2.0));
    case Activation::quick_gelu:
      return x / (1 + std::exp(-1.702 * x));
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
  }
  return x;
}

/// How far a float activation may be off where its argument x is exact: 16 roundings of its factors.
inline double activation_bound(double x, Activation activation) {
  if (activation == Activation::none || activation == Activation::relu) return 0;
  return 16 * unit * (activation == Activation::sigmoid ? 1.0 : std::fabs(x)) + 1e-37;
}

/// The result of activation(x) for an x known up to its bound; no activation is steeper than 1.13.
inline void activate(Expected& e, Activation activation) {
  for (std::size_t i = 0; i < e.value.size(); ++i) {
    e.bound[i] = 1.13 * e.bound[i] + activation_bound(e.value[i], activation) + unit * std::fabs(e.value[i]);
    e.value[i] = activated(e.value[i], activation);
  }
}

struct ProductOptions {
  double alpha = 1;
  Activation activation = Activation::none;
};

/// activation(alpha A B + addend(i, j)) + residual(i, j); a(i, k), b(k, j) give the elements.
template <class A, class B, class Addend, class Residual>
Expected product(std::size_t m, std::size_t n, std::size_t depth, A const& a, B const& b, Addend const& addend,
                 Residual const& residual, ProductOptions const& options = {}) {
  Expected e{Values(m * n), Values(m * n)};
  for (std::size_t i = 0; i < m; ++i)
    for (std::size_t j = 0; j < n; ++j) {
      double sum = 0, magnitude = 0;
      for (std::size_t k = 0; k < depth; ++k) {
        double const term = a(i, k) * b(k, j);
        sum += term;
        magnitude += std::fabs(term);
      }
      double const extra = addend(i, j);
      e.value[i * n + j] = options.alpha * sum + extra;
      e.bound[i * n + j] =
          (static_cast<double>(depth) + 4) * unit * (std::fabs(options.alpha) * magnitude + std::fabs(extra));
    }
  activate(e, options.activation);
  for (std::size_t i = 0; i < m; ++i)
    for (std::size_t j = 0; j < n; ++j) {
      double const extra = residual(i, j);
      double& y = e.value[i * n + j];
      y += extra;
      e.bound[i * n + j] += unit * (std::fabs(y) + std::fabs(extra));
    }
  return e;
}

inline constexpr auto nothing = [](std::size_t, std::size_t) { return 0.0; };

// ---- attention ------------------------------------------------------------------------------------------------

/// One query of one head: keys and values are rows of head_dim numbers; mask[j] is added to score j.
/// Appends head_dim results. A score that is off by d changes a weight by d of itself, the result by 2 d sum p|v|.
inline void attend(double const* q, std::vector<double const*> const& keys, std::vector<double const*> const& values,
                   Values const& mask, std::size_t head_dim, double scale, double* out, double* bound) {
  Values score(keys.size());
  double top = -std::numeric_limits<double>::infinity();
  double score_error = 0;
  for (std::size_t j = 0; j < keys.size(); ++j) {
    double magnitude = 0;
    for (std::size_t d = 0; d < head_dim; ++d) {
      score[j] += q[d] * keys[j][d];
      magnitude += std::fabs(q[d] * keys[j][d]);
    }
    score[j] = score[j] * scale + mask[j];
    score_error =
        std::max(score_error, (static_cast<double>(head_dim) + 4) * unit * (scale * magnitude + std::fabs(mask[j])));
    top = std::max(top, score[j]);
  }
  double total = 0;
  for (double& s : score) total += s = std::exp(s - top);
  for (std::size_t d = 0; d < head_dim; ++d) {
    double sum = 0, magnitude = 0;
    for (std::size_t j = 0; j < keys.size(); ++j) {
      sum += score[j] * values[j][d];
      magnitude += score[j] * std::fabs(values[j][d]);
    }
    out[d] = sum / total;
    bound[d] = (2 * score_error + (static_cast<double>(keys.size()) + 16) * unit) * 2 * magnitude / total + 1e-30;
  }
}

struct AttentionShape {
  std::size_t batch, queries, keys, width, heads;
};

/// softmax(scale q k^T + mask(n, i, j)) v; a mask of -infinity leaves a key out.
template <class Mask>
Expected attention(AttentionShape const& s, Values const& q, Values const& k, Values const& v, double scale,
                   Mask const& mask) {
  std::size_t const head_dim = s.width / s.heads;
  Expected e{Values(q.size()), Values(q.size())};
  for (std::size_t n = 0; n < s.batch; ++n)
    for (std::size_t h = 0; h < s.heads; ++h)
      for (std::size_t i = 0; i < s.queries; ++i) {
        std::vector<double const*> keys, values;
        Values added;
        for (std::size_t j = 0; j < s.keys; ++j) {
          if (std::isinf(mask(n, i, j))) continue;
          std::size_t const offset = (n * s.keys + j) * s.width + h * head_dim;
          keys.push_back(&k[offset]);
          values.push_back(&v[offset]);
          added.push_back(mask(n, i, j));
        }
        std::size_t const offset = (n * s.queries + i) * s.width + h * head_dim;
        attend(&q[offset], keys, values, added, head_dim, scale, &e.value[offset], &e.bound[offset]);
      }
  return e;
}

inline double no_mask(std::size_t, std::size_t, std::size_t) { return 0; }
inline double causal_mask(std::size_t, std::size_t i, std::size_t j) {
  return j <= i ? 0 : -std::numeric_limits<double>::infinity();
}

struct Map {
  std::size_t n, height, width, channels;
  std::size_t at(std::size_t sample, std::size_t y, std::size_t x) const {
    return ((sample * height + y) * width + x) * channels;
  }
  std::size_t size() const { return n * height * width * channels; }
};

/// torch.roll by (-shift, -shift) over rows and columns.
inline Values rolled(Map const& m, Values const& x, std::size_t shift) {
  Values y(x.size());
  for (std::size_t n = 0; n < m.n; ++n)
    for (std::size_t i = 0; i < m.height; ++i)
      for (std::size_t j = 0; j < m.width; ++j)
        for (std::size_t c = 0; c < m.channels; ++c)
          y[m.at(n, i, j) + c] = x[m.at(n, (i + shift) % m.height, (j + shift) % m.width) + c];
  return y;
}

/// Swin's numbering of the regions of a rolled map: three bands of rows times three bands of columns.
inline std::vector<int> swin_regions(std::size_t height, std::size_t width, std::size_t window, std::size_t shift) {
  std::vector<int> image(height * width);
  std::size_t const rows[4] = {0, height - window, height - shift, height};
  std::size_t const columns[4] = {0, width - window, width - shift, width};
  for (std::size_t a = 0; a < 3; ++a)
    for (std::size_t b = 0; b < 3; ++b)
      for (std::size_t y = rows[a]; y < rows[a + 1]; ++y)
        for (std::size_t x = columns[b]; x < columns[b + 1]; ++x) image[y * width + x] = static_cast<int>(3 * a + b);
  return image;
}

/// Swin's window attention, the long way: roll, cut, attend with the mask, roll back.
inline Expected window_attention(Map const& m, Values const& q, Values const& k, Values const& v, std::size_t heads,
                                 std::size_t window, std::size_t shift, bool masked) {
  std::size_t const head_dim = m.channels / heads;
  auto const regions = swin_regions(m.height, m.width, window, shift);
  Values const rq = rolled(m, q, shift), rk = rolled(m, k, shift), rv = rolled(m, v, shift);
  Expected r{Values(q.size()), Values(q.size())};
  for (std::size_t n = 0; n < m.n; ++n)
    for (std::size_t y = 0; y < m.height; ++y)
      for (std::size_t x = 0; x < m.width; ++x)
        for (std::size_t h = 0; h < heads; ++h) {
          std::vector<double const*> keys, values;
          Values added;
          for (std::size_t b = y / window * window; b < (y / window + 1) * window; ++b)
            for (std::size_t a = x / window * window; a < (x / window + 1) * window; ++a) {
              keys.push_back(&rk[m.at(n, b, a) + h * head_dim]);
              values.push_back(&rv[m.at(n, b, a) + h * head_dim]);
              bool const apart = regions[b * m.width + a] != regions[y * m.width + x];
              added.push_back(masked && shift > 0 && apart ? -100.0 : 0.0);
            }
          std::size_t const offset = m.at(n, y, x) + h * head_dim;
          attend(&rq[offset], keys, values, added, head_dim, 1 / std::sqrt(static_cast<double>(head_dim)),
                 &r.value[offset], &r.bound[offset]);
        }
  Map const all = m;
  std::size_t const back_y = (m.height - shift) % m.height, back_x = (m.width - shift) % m.width;
  auto const roll_back = [&](Values const& x) {
    Values y(x.size());
    for (std::size_t n = 0; n < m.n; ++n)
      for (std::size_t i = 0; i < m.height; ++i)
        for (std::size_t j = 0; j < m.width; ++j)
          for (std::size_t c = 0; c < m.channels; ++c)
            y[all.at(n, i, j) + c] = x[all.at(n, (i + back_y) % m.height, (j + back_x) % m.width) + c];
    return y;
  };
  return {roll_back(r.value), roll_back(r.bound)};
}

/// Linear attention with phi = elu + 1 over the leading axis of [S, P, D]; keys and values may be longer than queries.
inline Expected linear_attention(std::size_t length, std::size_t key_length, std::size_t positions, std::size_t width,
                                 std::size_t heads, Values const& q, Values const& k, Values const& v,
                                 double epsilon = 1e-6) {
  std::size_t const head_dim = width / heads;
  auto const phi = [](double x) { return x > 0 ? x + 1 : std::exp(x); };
  Expected e{Values(q.size()), Values(q.size())};
  for (std::size_t l = 0; l < length; ++l)
    for (std::size_t p = 0; p < positions; ++p)
      for (std::size_t h = 0; h < heads; ++h) {
        std::size_t const row = (l * positions + p) * width + h * head_dim;
        Values sum(head_dim), magnitude(head_dim);
        double total = epsilon;
        for (std::size_t s = 0; s < key_length; ++s) {
          std::size_t const other = (s * positions + p) * width + h * head_dim;
          double weight = 0;
          for (std::size_t i = 0; i < head_dim; ++i) weight += phi(q[row + i]) * phi(k[other + i]);
          total += weight;
          for (std::size_t d = 0; d < head_dim; ++d) {
            sum[d] += weight * v[other + d];
            magnitude[d] += weight * std::fabs(v[other + d]);
          }
        }
        for (std::size_t d = 0; d < head_dim; ++d) {
          e.value[row + d] = sum[d] / total;
          e.bound[row + d] = 2 * (static_cast<double>(key_length + head_dim) + 16) * unit * magnitude[d] / total;
        }
      }
  return e;
}

/// Softmax attention over the leading axis of [S, P, D].
inline Expected leading_axis_attention(std::size_t length, std::size_t key_length, std::size_t positions,
                                       std::size_t width, std::size_t heads, Values const& q, Values const& k,
                                       Values const& v) {
  std::size_t const head_dim = width / heads;
  Expected e{Values(q.size()), Values(q.size())};
  for (std::size_t l = 0; l < length; ++l)
    for (std::size_t p = 0; p < positions; ++p)
      for (std::size_t h = 0; h < heads; ++h) {
        std::vector<double const*> keys, values;
        for (std::size_t s = 0; s < key_length; ++s) {
          keys.push_back(&k[(s * positions + p) * width + h * head_dim]);
          values.push_back(&v[(s * positions + p) * width + h * head_dim]);
        }
        std::size_t const row = (l * positions + p) * width + h * head_dim;
        attend(&q[row], keys, values, Values(key_length), head_dim, 1 / std::sqrt(static_cast<double>(head_dim)),
               &e.value[row], &e.bound[row]);
      }
  return e;
}

// ---- normalisation --------------------------------------------------------------------------------------------

/// Normalises the elements x[index[0]], x[index[1]], ... together. terms: the longest run that is summed in float.
template <class Channel>
void normalize_set(Values const& x, std::vector<std::size_t> const& index, Values const& weight, Values const& bias,
                   double epsilon, double terms, Channel const& channel_of, Expected& e) {
  double const count = static_cast<double>(index.size());
  double mean = 0, magnitude = 0, variance = 0;
  for (auto i : index) mean += x[i] / count, magnitude += std::fabs(x[i]) / count;
  for (auto i : index) variance += (x[i] - mean) * (x[i] - mean) / count;
  double const inverse = 1 / std::sqrt(variance + epsilon);
  for (auto i : index) {
    double const w = weight[channel_of(i)], b = bias[channel_of(i)];
    double const y = (x[i] - mean) * inverse;
    e.value[i] = y * w + b;
    e.bound[i] = (terms + 8) * unit * ((magnitude + std::fabs(x[i])) * inverse + std::fabs(y)) * std::fabs(w) +
                 4 * unit * (std::fabs(y * w) + std::fabs(b));
  }
}

inline Expected layer_norm(std::size_t rows, std::size_t c, Values const& x, Values const& weight, Values const& bias,
                           double epsilon = 1e-5) {
  Expected e{Values(x.size()), Values(x.size())};
  std::vector<std::size_t> index(c);
  for (std::size_t row = 0; row < rows; ++row) {
    std::iota(index.begin(), index.end(), row * c);
    normalize_set(
        x, index, weight, bias, epsilon, static_cast<double>(c), [&](std::size_t i) { return i % c; }, e);
  }
  return e;
}

inline Expected group_norm(Map const& m, std::size_t groups, Values const& x, Values const& weight, Values const& bias,
                           bool relu, double epsilon = 1e-5) {
  Expected e{Values(x.size()), Values(x.size())};
  std::size_t const width = m.channels / groups;
  for (std::size_t n = 0; n < m.n; ++n)
    for (std::size_t g = 0; g < groups; ++g) {
      std::vector<std::size_t> index;
      for (std::size_t p = 0; p < m.height * m.width; ++p)
        for (std::size_t i = 0; i < width; ++i)
          index.push_back((n * m.height * m.width + p) * m.channels + g * width + i);
      normalize_set(
          x, index, weight, bias, epsilon, 64, [&](std::size_t i) { return i % m.channels; }, e);
    }
  if (relu)
    for (double& y : e.value) y = std::max(y, 0.0);
  return e;
}

inline Expected l2_normalize(std::size_t rows, std::size_t c, Values const& x, double epsilon = 1e-12) {
  Expected e{Values(x.size()), Values(x.size())};
  for (std::size_t row = 0; row < rows; ++row) {
    double square = 0;
    for (std::size_t i = 0; i < c; ++i) square += x[row * c + i] * x[row * c + i];
    for (std::size_t i = 0; i < c; ++i) {
      double& y = e.value[row * c + i];
      y = x[row * c + i] / std::max(std::sqrt(square), epsilon);
      e.bound[row * c + i] = (static_cast<double>(c) + 8) * unit * std::fabs(y);
    }
  }
  return e;
}

inline Expected softmax(std::size_t rows, std::size_t c, Values const& x) {
  Expected e{Values(x.size()), Values(x.size())};
  for (std::size_t row = 0; row < rows; ++row) {
    double const* const p = x.data() + row * c;
    double const top = *std::max_element(p, p + c);
    double total = 0;
    for (std::size_t i = 0; i < c; ++i) total += std::exp(p[i] - top);
    for (std::size_t i = 0; i < c; ++i) {
      double const y = std::exp(p[i] - top) / total;
      e.value[row * c + i] = y;
      e.bound[row * c + i] = (static_cast<double>(c) + 16 + (top - p[i])) * unit * y + 2e-38;
    }
  }
  return e;
}

// ---- convolution ----------------------------------------------------------------------------------------------

struct Kernel {
  std::size_t out, height, width, stride, padding;
};

/// weight: [O, C, kh, kw].
inline Expected conv2d(Map const& m, Values const& x, Values const& weight, Values const& bias, Kernel const& k,
                       Activation activation) {
  std::size_t const out_h = (m.height + 2 * k.padding - k.height) / k.stride + 1;
  std::size_t const out_w = (m.width + 2 * k.padding - k.width) / k.stride + 1;
  Map const o{m.n, out_h, out_w, k.out};
  Expected e{Values(o.size()), Values(o.size())};
  for (std::size_t n = 0; n < m.n; ++n)
    for (std::size_t y = 0; y < out_h; ++y)
      for (std::size_t x0 = 0; x0 < out_w; ++x0)
        for (std::size_t c = 0; c < k.out; ++c) {
          double sum = bias.empty() ? 0 : bias[c];
          double magnitude = std::fabs(sum);
          for (std::size_t i = 0; i < k.height; ++i)
            for (std::size_t j = 0; j < k.width; ++j)
              for (std::size_t d = 0; d < m.channels; ++d) {
                auto const row = static_cast<std::ptrdiff_t>(y * k.stride + i) - static_cast<std::ptrdiff_t>(k.padding);
                auto const column =
                    static_cast<std::ptrdiff_t>(x0 * k.stride + j) - static_cast<std::ptrdiff_t>(k.padding);
                if (row < 0 || column < 0 || row >= static_cast<std::ptrdiff_t>(m.height) ||
                    column >= static_cast<std::ptrdiff_t>(m.width))
                  continue;
                double const term = x[m.at(n, static_cast<std::size_t>(row), static_cast<std::size_t>(column)) + d] *
                                    weight[((c * m.channels + d) * k.height + i) * k.width + j];
                sum += term;
                magnitude += std::fabs(term);
              }
          e.value[o.at(n, y, x0) + c] = sum;
          e.bound[o.at(n, y, x0) + c] = (static_cast<double>(k.height * k.width * m.channels) + 4) * unit * magnitude;
        }
  activate(e, activation);
  return e;
}

/// weight: [C, O, k, k]; each guidance map serves consecutive samples.
inline Expected conv_transpose2d(Map const& m, Values const& x, Values const& weight, Values const& bias,
                                 std::size_t out, std::size_t k, Map const& guide = {}, Values const& guidance = {}) {
  std::size_t const extra = guidance.empty() ? 0 : guide.channels;
  Map const o{m.n, k * m.height, k * m.width, out + extra};
  Expected e{Values(o.size()), Values(o.size())};
  for (std::size_t n = 0; n < m.n; ++n)
    for (std::size_t y = 0; y < o.height; ++y)
      for (std::size_t z = 0; z < o.width; ++z) {
        for (std::size_t c = 0; c < out; ++c) {
          double sum = bias.empty() ? 0 : bias[c];
          double magnitude = std::fabs(sum);
          for (std::size_t d = 0; d < m.channels; ++d) {
            double const term = x[m.at(n, y / k, z / k) + d] * weight[((d * out + c) * k + y % k) * k + z % k];
            sum += term;
            magnitude += std::fabs(term);
          }
          e.value[o.at(n, y, z) + c] = sum;
          e.bound[o.at(n, y, z) + c] = (static_cast<double>(m.channels) + 4) * unit * magnitude;
        }
        for (std::size_t c = 0; c < extra; ++c)
          e.value[o.at(n, y, z) + out + c] = guidance[guide.at(n / (m.n / guide.n), y, z) + c];
      }
  return e;
}

inline Expected average_pool2d(Map const& m, Values const& x, std::size_t k) {
  Map const o{m.n, m.height / k, m.width / k, m.channels};
  Expected e{Values(o.size()), Values(o.size())};
  for (std::size_t n = 0; n < m.n; ++n)
    for (std::size_t y = 0; y < o.height * k; ++y)
      for (std::size_t z = 0; z < o.width * k; ++z)
        for (std::size_t c = 0; c < m.channels; ++c) {
          double const term = x[m.at(n, y, z) + c] / static_cast<double>(k * k);
          e.value[o.at(n, y / k, z / k) + c] += term;
          e.bound[o.at(n, y / k, z / k) + c] += (static_cast<double>(k * k) + 2) * unit * std::fabs(term);
        }
  return e;
}

// ---- resampling -----------------------------------------------------------------------------------------------

/// Interpolation by any symmetric kernel f of the given radius, borders repeated; separable. The source coordinate is
/// a float of up to 3 roundings, which shifts the weights by as much times the kernel's steepness (at most 2).
template <class F>
Expected resample(Map const& m, Values const& x, std::size_t height, std::size_t width, Alignment alignment,
                  std::ptrdiff_t radius, bool clamp_source, F const& f) {
  Map const o{m.n, height, width, m.channels};
  Expected e{Values(o.size()), Values(o.size())};
  auto const source = [&](std::size_t i, std::size_t in, std::size_t out) {
    double const s =
        alignment == Alignment::corners
            ? (out > 1 ? static_cast<double>(in - 1) / static_cast<double>(out - 1) * static_cast<double>(i) : 0)
            : static_cast<double>(in) / static_cast<double>(out) * (static_cast<double>(i) + 0.5) - 0.5;
    return clamp_source ? std::max(s, 0.0) : s;
  };
  auto const clamped = [](std::ptrdiff_t i, std::size_t n) {
    return static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(i, 0, static_cast<std::ptrdiff_t>(n) - 1));
  };
  double const bound = (12 * static_cast<double>(m.height + m.width) + 32) * unit * largest(x) * (radius > 1 ? 4 : 1);
  for (std::size_t n = 0; n < m.n; ++n)
    for (std::size_t i = 0; i < height; ++i)
      for (std::size_t j = 0; j < width; ++j)
        for (std::size_t c = 0; c < m.channels; ++c) {
          double const sy = source(i, m.height, height), sx = source(j, m.width, width);
          double sum = 0;
          for (std::ptrdiff_t a = 1 - radius; a <= radius; ++a)
            for (std::ptrdiff_t b = 1 - radius; b <= radius; ++b) {
              auto const y = static_cast<std::ptrdiff_t>(std::floor(sy)) + a,
                         z = static_cast<std::ptrdiff_t>(std::floor(sx)) + b;
              sum += f(sy - static_cast<double>(y)) * f(sx - static_cast<double>(z)) *
                     x[m.at(n, clamped(y, m.height), clamped(z, m.width)) + c];
            }
          e.value[o.at(n, i, j) + c] = sum;
          e.bound[o.at(n, i, j) + c] = bound;
        }
  return e;
}

inline Expected resize_bilinear(Map const& m, Values const& x, std::size_t height, std::size_t width,
                                Alignment alignment) {
  return resample(m, x, height, width, alignment, 1, true, [](double t) { return 1 - std::fabs(t); });
}

/// Keys' cubic convolution with parameter a.
inline Expected resize_bicubic(Map const& m, Values const& x, std::size_t height, std::size_t width, double a = -0.75) {
  return resample(m, x, height, width, Alignment::half_pixel, 2, false, [a](double t) {
    t = std::fabs(t);
    if (t <= 1) return (a + 2) * t * t * t - (a + 3) * t * t + 1;
    if (t < 2) return a * t * t * t - 5 * a * t * t + 8 * a * t - 4 * a;
    return 0.0;
  });
}

// ---- moving ---------------------------------------------------------------------------------------------------

/// Windows of the rolled map, one after the other.
inline Values window_partition(Map const& m, Values const& x, std::size_t window, std::size_t shift) {
  Values const r = rolled(m, x, shift);
  Values y;
  for (std::size_t n = 0; n < m.n; ++n)
    for (std::size_t top = 0; top < m.height; top += window)
      for (std::size_t left = 0; left < m.width; left += window)
        for (std::size_t i = 0; i < window; ++i)
          for (std::size_t j = 0; j < window; ++j)
            for (std::size_t c = 0; c < m.channels; ++c) y.push_back(r[m.at(n, top + i, left + j) + c]);
  return y;
}

/// All axes of a rank-4 array rearranged.
inline Values permute(std::array<std::size_t, 4> const& extents, Values const& x,
                      std::array<std::size_t, 4> const& order) {
  Values y;
  std::array<std::size_t, 4> i{};
  auto const& e = extents;
  for (i[order[0]] = 0; i[order[0]] < e[order[0]]; ++i[order[0]])
    for (i[order[1]] = 0; i[order[1]] < e[order[1]]; ++i[order[1]])
      for (i[order[2]] = 0; i[order[2]] < e[order[2]]; ++i[order[2]])
        for (i[order[3]] = 0; i[order[3]] < e[order[3]]; ++i[order[3]])
          y.push_back(x[((i[0] * e[1] + i[1]) * e[2] + i[2]) * e[3] + i[3]]);
  return y;
}

}  // namespace kovos::test::reference
