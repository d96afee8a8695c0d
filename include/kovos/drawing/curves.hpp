// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kovos/core/config.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/image.hpp"
#include "kovos/drawing/canvas.hpp"
#include "kovos/drawing/font.hpp"
#include "kovos/drawing/palette.hpp"

namespace kovos {

/// One line of a panel: y over x, in the order of the points. Both have the same length.
struct Curve {
  std::string name;
  std::vector<double> x, y;
};

/// One plot of a picture of training curves.
struct CurvePanel {
  std::string title, x_label;
  std::vector<Curve> curves;
  bool log_y = false;  ///< logarithmic y axis; values that are not positive are left out
  bool smooth =
      false;  ///< thin as recorded, and thick the trend: lines fitted to a fiftieth of the points to either side
};

struct CurveOptions {
  std::size_t panel_height = 520, panel_width = 820;  ///< pixels; at least 120 x 160
};

namespace detail {

/// Values of a larger magnitude are those of a run that diverged; they would leave nothing to see of the others.
inline constexpr double largest_drawn = 1e100;

/// One axis: the values at its two ends and the numbers written beside it.
struct CurveAxis {
  double low = 0, high = 1;
  bool logarithmic = false;
  std::vector<double> ticks;

  bool shows(double value) const {
    return std::isfinite(value) && std::abs(value) <= largest_drawn && (!logarithmic || value > 0);
  }
  double scaled(double value) const { return logarithmic ? std::log10(value) : value; }
  /// 0 at the low end, 1 at the high end.
  double place(double value) const { return (scaled(value) - scaled(low)) / (scaled(high) - scaled(low)); }
};

/// Multiples of 1, 2 or 5 times a power of ten between two values, at most `most`.
inline std::vector<double> linear_ticks(double low, double high, std::size_t most) {
  double const wanted = (high - low) / static_cast<double>(std::max<std::size_t>(most, 2));
  double const power = std::pow(10, std::floor(std::log10(wanted)));
  double step = 10 * power;
  for (double const factor : {5.0, 2.0, 1.0})
    if (factor * power >= wanted * (1 - 1e-9)) step = factor * power;
  std::vector<double> ticks;
  double const first = std::ceil(low / step - 1e-9);
  for (double i = 0; i <= static_cast<double>(most); ++i) {
    double const tick = (first + i) * step;
    if (tick <= high + 1e-9 * step) ticks.push_back(std::abs(tick) < 1e-9 * step ? 0 : tick);
  }
  return ticks;
}

/// Powers of ten, and their doubles and so on where these are too few, between two positive values.
inline std::vector<double> logarithmic_ticks(double low, double high, std::size_t most) {
  auto const first = static_cast<int>(std::floor(std::log10(low))),
             last = static_cast<int>(std::ceil(std::log10(high)));
  auto const stride = static_cast<int>(static_cast<std::size_t>(last - first) / std::max<std::size_t>(most, 2)) + 1;
  std::vector<double> ticks;
  for (std::vector<double> const& factors : {std::vector<double>{1}, {1, 2, 5}, {1, 2, 3, 4, 5, 6, 7, 8, 9}}) {
    ticks.clear();
    for (int power = first; power <= last; power += stride)
      for (double const factor : factors) {
        double const tick = factor * std::pow(10, power);
        if (tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9)) ticks.push_back(tick);
      }
    if (ticks.size() >= 3 || stride > 1) return ticks;
  }
  return linear_ticks(low, high, most);
}

/// The axis that holds all values it can show, with a little room; 0..1 (1..10 if logarithmic) if there are none.
inline CurveAxis fit_axis(std::span<double const> values, bool logarithmic, double room, std::size_t most_ticks) {
  CurveAxis axis;
  axis.logarithmic = logarithmic;
  bool any = false;
  for (double const value : values) {
    if (!axis.shows(value)) continue;
    axis.low = any ? std::min(axis.low, value) : value;
    axis.high = any ? std::max(axis.high, value) : value;
    any = true;
  }
  if (logarithmic) {
    if (!any) axis.low = 1, axis.high = 10;
    // Subnormal numbers have no tenth.
    double low = std::log10(std::max(axis.low, 1e-300)), high = std::log10(std::max(axis.high, 1e-300));
    double const widen = high - low < 1e-6 ? 0.5 : room * (high - low);
    axis.low = std::pow(10, low - widen);
    axis.high = std::pow(10, high + widen);
    axis.ticks = logarithmic_ticks(axis.low, axis.high, most_ticks);
  } else {
    double const largest = std::max(std::abs(axis.low), std::abs(axis.high));
    double const span = axis.high - axis.low;
    double const widen = span > 1e-9 * largest ? room * span : largest > 0 ? 0.1 * largest : 1;
    axis.low -= widen;
    axis.high += widen;
    axis.ticks = linear_ticks(axis.low, axis.high, most_ticks);
  }
  return axis;
}

/// "0.05", "12.5", "40k", "3M", "1e-06".
inline std::string tick_text(double value) {
  char text[32];
  double const size = std::abs(value);
  if (size >= 1e6 && size < 1e9) std::snprintf(text, sizeof text, "%.6gM", value / 1e6);
  else if (size >= 1e4 && size < 1e6) std::snprintf(text, sizeof text, "%.6gk", value / 1e3);
  else std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

/// The straight line of least squares through up to `reach` points to either side, at each point: unlike a mean, it
/// does not flatten the ends of a falling curve. Points that cannot be shown count for nothing and stay as they are.
inline std::vector<double> local_trend(std::span<double const> values, CurveAxis const& axis, std::size_t reach) {
  struct Sums {
    double n = 0, t = 0, tt = 0, y = 0, ty = 0;
  };
  std::vector<Sums> before(values.size() + 1);
  for (std::size_t i = 0; i < values.size(); ++i) {
    Sums next = before[i];
    if (axis.shows(values[i])) {
      double const t = static_cast<double>(i), y = axis.scaled(values[i]);
      next = {next.n + 1, next.t + t, next.tt + t * t, next.y + y, next.ty + t * y};
    }
    before[i + 1] = next;
  }
  std::vector<double> result(values.begin(), values.end());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!axis.shows(values[i])) continue;
    Sums const& a = before[i - std::min(i, reach)];
    Sums const& b = before[std::min(values.size(), i + reach + 1)];
    double const n = b.n - a.n, t = (b.t - a.t) / n, y = (b.y - a.y) / n;
    double const spread = (b.tt - a.tt) - n * t * t;
    double const slope = n > 1 ? ((b.ty - a.ty) - n * t * y) / spread : 0;
    double const trend = y + slope * (static_cast<double>(i) - t);
    result[i] = axis.logarithmic ? std::pow(10, trend) : trend;
  }
  return result;
}

struct CurvePoint {
  double y = 0, x = 0;  // pixels
};

/// How much of each pixel of a box of the picture lines cover. A pixel that several cover counts once.
class LineCoverage {
 public:
  LineCoverage(std::size_t top, std::size_t left, std::size_t height, std::size_t width)
      : top_(top), left_(left), height_(height), width_(width), share_(height * width, 0.F) {}

  /// A line with round ends; with both ends at one place, a dot.
  void add(CurvePoint from, CurvePoint to, double thickness) {
    double const reach = thickness / 2 + 1;
    auto const clip = [](double at, std::size_t begin, std::size_t size) {
      return static_cast<std::size_t>(std::clamp(at - static_cast<double>(begin), 0.0, static_cast<double>(size)));
    };
    std::size_t const y_begin = clip(std::min(from.y, to.y) - reach, top_, height_);
    std::size_t const y_end = clip(std::max(from.y, to.y) + reach + 1, top_, height_);
    std::size_t const x_begin = clip(std::min(from.x, to.x) - reach, left_, width_);
    std::size_t const x_end = clip(std::max(from.x, to.x) + reach + 1, left_, width_);
    double const dy = to.y - from.y, dx = to.x - from.x, square = dy * dy + dx * dx;
    for (std::size_t y = y_begin; y < y_end; ++y) {
      for (std::size_t x = x_begin; x < x_end; ++x) {
        double const py = static_cast<double>(top_ + y) + 0.5 - from.y,
                     px = static_cast<double>(left_ + x) + 0.5 - from.x;
        double const t = square > 0 ? std::clamp((py * dy + px * dx) / square, 0.0, 1.0) : 0;
        double const distance = std::hypot(py - t * dy, px - t * dx);
        auto& share = share_[y * width_ + x];
        share = std::max(share, static_cast<float>(std::clamp(thickness / 2 + 0.5 - distance, 0.0, 1.0)));
      }
    }
  }

  void paint(Image& image, Color const& color, double opacity) const {
    for (std::size_t y = 0; y < height_; ++y) {
      for (std::size_t x = 0; x < width_; ++x) {
        double const share = opacity * static_cast<double>(share_[y * width_ + x]);
        if (share <= 0) continue;
        auto* const pixel = image.row(top_ + y) + 3 * (left_ + x);
        for (std::size_t c = 0; c < 3; ++c)
          pixel[c] = static_cast<std::uint8_t>(std::lround(pixel[c] + share * (color[c] - pixel[c])));
      }
    }
  }

 private:
  std::size_t top_, left_, height_, width_;
  std::vector<float> share_;
};

/// The colours of the palette that are strong enough for lines on a light ground: every third is too bright.
inline Color curve_color(std::size_t index) { return class_color(index / 2 * 3 + index % 2); }

/// As much of a text as fits.
inline std::string fitting(std::string_view text, std::size_t room, std::size_t scale) {
  std::string shown = printable(text);
  std::size_t const letters = room / text_width(" ", scale);
  if (shown.size() > letters) shown = letters > 2 ? shown.substr(0, letters - 2) + ".." : shown.substr(0, letters);
  return shown;
}

inline void draw_curve_panel(Image& image, std::size_t top, std::size_t left, CurvePanel const& panel,
                             CurveOptions const& options) {
  constexpr Color grid_color{226, 227, 230};
  std::size_t const scale = std::clamp<std::size_t>(options.panel_width / 400, 1, 4);
  std::size_t const line = (glyph_height + 4) * scale, letter = text_width(" ", scale), gap = 4 * scale;
  std::size_t const right = left + options.panel_width - 4 * gap;

  std::vector<double> xs, ys;
  for (auto const& curve : panel.curves) {
    require_extent("draw_curves", "y of '" + printable(curve.name) + "'", curve.y.size(), curve.x.size());
    xs.insert(xs.end(), curve.x.begin(), curve.x.end());
    ys.insert(ys.end(), curve.y.begin(), curve.y.end());
  }
  auto const y_axis = fit_axis(ys, panel.log_y, 0.05, std::max<std::size_t>(2, options.panel_height / (4 * line)));
  std::size_t label_width = 0;
  for (double const tick : y_axis.ticks) label_width = std::max(label_width, tick_text(tick).size() * letter);

  // Title, legend, plot, numbers, name of the x axis.
  std::size_t const plot_left = std::min(left + 2 * gap + label_width, right - 1);
  draw_text(image, top + gap, plot_left, fitting(panel.title, right - plot_left, scale), scale, text_color);
  std::size_t at = plot_left, legend_top = top + gap + line;
  std::size_t const legend_end = top + options.panel_height / 2;
  for (std::size_t i = 0; i < panel.curves.size(); ++i) {
    std::string const name = fitting(panel.curves[i].name, right - plot_left - 5 * gap, scale);
    std::size_t const wanted = 5 * gap + text_width(name, scale);
    if (at > plot_left && at + wanted > right) {
      if (legend_top + 2 * line > legend_end) break;
      at = plot_left;
      legend_top += line;
    }
    fill_box(image, legend_top + 3 * scale, at, 2 * scale, 3 * gap, curve_color(i));
    draw_text(image, legend_top, at + 4 * gap, name, scale, text_color);
    at += wanted + 2 * gap;
  }
  std::size_t const plot_bottom = top + options.panel_height - 2 * line - gap;
  std::size_t const plot_top = std::min(legend_top + line + gap, plot_bottom - 1);
  std::size_t const plot_height = plot_bottom - plot_top, plot_width = right - plot_left;
  auto const x_axis = fit_axis(xs, false, 0, std::max<std::size_t>(2, plot_width / (10 * letter)));

  auto const row_of = [&](double y) {
    return static_cast<double>(plot_bottom) - y_axis.place(y) * static_cast<double>(plot_height);
  };
  auto const column_of = [&](double x) {
    return static_cast<double>(plot_left) + x_axis.place(x) * static_cast<double>(plot_width);
  };
  for (double const tick : y_axis.ticks) {
    auto const y = static_cast<std::size_t>(std::lround(row_of(tick)));
    fill_box(image, y, plot_left, 1, plot_width, grid_color);
    std::string const text = tick_text(tick);
    draw_text(image, y - std::min(y, 4 * scale), plot_left - gap - text_width(text, scale), text, scale, faint_color);
  }
  for (double const tick : x_axis.ticks) {
    auto const x = static_cast<std::size_t>(std::lround(column_of(tick)));
    fill_box(image, plot_top, x, plot_height, 1, grid_color);
    std::string const text = tick_text(tick);
    std::size_t const half = text_width(text, scale) / 2;
    draw_text(image, plot_bottom + gap, x - std::min(x, half), text, scale, faint_color);
  }
  fill_box(image, plot_bottom, plot_left, 1, plot_width + 1, faint_color);
  fill_box(image, plot_top, plot_left, plot_height, 1, faint_color);
  std::string const x_label = fitting(panel.x_label, plot_width, scale);
  draw_text(image, plot_bottom + line + gap / 2, plot_left + (plot_width - text_width(x_label, scale)) / 2, x_label,
            scale, text_color);

  auto const draw = [&](Curve const& curve, std::vector<double> const& y, Color const& color, double thickness,
                        double opacity, bool dots) {
    LineCoverage coverage(plot_top, plot_left, plot_height, plot_width + 1);
    bool joined = false;
    CurvePoint last;
    for (std::size_t i = 0; i < y.size(); ++i) {
      bool const shown = y_axis.shows(y[i]) && x_axis.shows(curve.x[i]);
      if (shown) {
        CurvePoint const here{row_of(y[i]), column_of(curve.x[i])};
        if (joined) coverage.add(last, here, thickness);
        bool const alone = !joined && (i + 1 == y.size() || !y_axis.shows(y[i + 1]) || !x_axis.shows(curve.x[i + 1]));
        if (dots || alone) coverage.add(here, here, 2.5 * thickness);
        last = here;
      }
      joined = shown;
    }
    coverage.paint(image, color, opacity);
  };
  double const unit = static_cast<double>(scale);
  if (panel.smooth) {
    for (std::size_t i = 0; i < panel.curves.size(); ++i)
      draw(panel.curves[i], panel.curves[i].y, curve_color(i), 0.5 * unit, 0.4, false);
  }
  for (std::size_t i = 0; i < panel.curves.size(); ++i) {
    auto const& curve = panel.curves[i];
    bool const few = curve.y.size() <= 40;
    auto const y = panel.smooth ? local_trend(curve.y, y_axis, curve.y.size() / 50) : curve.y;
    draw(curve, y, curve_color(i), 1.25 * unit, 1, few && !panel.smooth);
  }
}

}  // namespace detail

/// Training curves as a picture, two panels beside each other per row: title, legend, axes with numbers, anti-aliased
/// lines. Points that are not finite, beyond 1e100, or not positive on a logarithmic axis leave a gap. Throws
/// ConfigError for panels that are too small or too large, ShapeError if a curve's x and y differ in length.
KOVOS_DOOR Image draw_curves(std::span<CurvePanel const> panels, CurveOptions const& options = {});

#ifdef KOVOS_DEFINES_DOORS

KOVOS_DOOR Image draw_curves(std::span<CurvePanel const> panels, CurveOptions const& options) {
  require<ConfigError>(options.panel_height >= 120 && options.panel_width >= 160 && options.panel_height <= 8192 &&
                           options.panel_width <= 8192,
                       "a panel of curves of ", options.panel_width, " x ", options.panel_height,
                       " pixels: expected at least 160 x 120 and at most 8192 x 8192");
  std::size_t const columns = panels.size() > 1 ? 2 : 1;
  std::size_t const rows = std::max<std::size_t>(1, (panels.size() + columns - 1) / columns);
  Image image{rows * options.panel_height, columns * options.panel_width, {}};
  image.pixels.resize(image.height * image.width * 3);
  detail::fill_box(image, 0, 0, image.height, image.width, detail::panel_color);
  for (std::size_t i = 0; i < panels.size(); ++i) {
    detail::draw_curve_panel(image, i / columns * options.panel_height, i % columns * options.panel_width, panels[i],
                             options);
  }
  return image;
}

#endif  // KOVOS_DEFINES_DOORS

}  // namespace kovos
