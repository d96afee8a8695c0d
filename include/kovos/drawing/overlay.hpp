// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "kovos/core/config.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/image.hpp"
#include "kovos/core/label_map.hpp"
#include "kovos/drawing/canvas.hpp"
#include "kovos/drawing/font.hpp"
#include "kovos/drawing/palette.hpp"
#include "kovos/io/image.hpp"

namespace kovos {

/// How labels are drawn over a picture.
struct OverlayOptions {
  double opacity = 0.55;  ///< of the class colours, 0..1
  bool legend = true;     ///< a panel below the picture: colour, name, share of the picture
};

namespace detail {

/// Diagonal grey stripes stand for "unknown".
inline Color unknown_color(std::size_t y, std::size_t x) {
  return (x + y) / 4 % 2 == 0 ? Color{120, 120, 124} : Color{172, 172, 176};
}

struct LegendEntry {
  std::string name;
  double share;
  std::size_t label;
};

/// Classes that have pixels, largest first; unknown last.
inline std::vector<LegendEntry> legend_entries(LabelMap const& labels, std::vector<std::string> const& names) {
  std::vector<std::size_t> count(names.size(), 0);
  std::size_t unknown = 0;
  for (auto const label : labels.labels) {
    if (label < names.size()) ++count[label];
    else ++unknown;
  }
  double const total = static_cast<double>(labels.labels.size());
  std::vector<LegendEntry> entries;
  for (std::size_t i = 0; i < names.size(); ++i)
    if (count[i] > 0) entries.push_back({printable(names[i]), static_cast<double>(count[i]) / total, i});
  std::stable_sort(entries.begin(), entries.end(), [](auto const& a, auto const& b) { return a.share > b.share; });
  if (unknown > 0) entries.push_back({"unknown", static_cast<double>(unknown) / total, LabelMap::unknown});
  return entries;
}

inline std::string percent(double share) {
  char text[16];
  std::snprintf(text, sizeof text, share >= 0.0995 ? "%.0f%%" : share >= 0.001 ? "%.1f%%" : "<0.1%%", 100 * share);
  return text;
}

/// The panel: as many columns as fit, at most about half the picture's height.
inline Image legend_panel(LabelMap const& labels, std::vector<std::string> const& names, std::size_t width,
                          std::size_t picture_height) {
  auto entries = legend_entries(labels, names);
  std::size_t const scale = std::clamp<std::size_t>(width / 480 + 1, 1, 4);
  std::size_t const margin = 6 * scale, row = 14 * scale, swatch = 10 * scale, gap = 4 * scale;
  std::size_t const share_width = text_width("100%", scale);
  std::size_t longest = 7;
  for (auto const& entry : entries) longest = std::max(longest, entry.name.size());
  std::size_t const wanted =
      swatch + gap + std::min<std::size_t>(longest, 16) * (glyph_width + 1) * scale + gap + share_width + 3 * gap;
  std::size_t const usable = width > 2 * margin ? width - 2 * margin : 1;
  std::size_t const columns = std::max<std::size_t>(1, std::min(usable / wanted, entries.size()));
  std::size_t const column_width = std::max<std::size_t>(1, std::min(usable / columns, 2 * wanted));
  std::size_t const most_rows = std::max<std::size_t>(3, picture_height / 2 / row);
  std::size_t const rows = std::min(most_rows, (entries.size() + columns - 1) / columns);
  std::size_t hidden = 0;
  if (entries.size() > rows * columns) {
    hidden = entries.size() - (rows * columns - 1);
    entries.resize(rows * columns - 1);
  }
  Image panel{rows * row + 2 * margin, width, {}};
  panel.pixels.resize(panel.height * width * 3);
  fill_box(panel, 0, 0, panel.height, width, panel_color);
  for (std::size_t i = 0; i < entries.size() + (hidden ? 1 : 0); ++i) {
    std::size_t const top = margin + i % rows * row;
    std::size_t const left = margin + i / rows * column_width;
    std::size_t const text_top = top + 2 * scale;
    if (i == entries.size()) {
      draw_text(panel, text_top, left + swatch + gap, "and " + std::to_string(hidden) + " more", scale, faint_color);
      break;
    }
    auto const& entry = entries[i];
    if (entry.label == LabelMap::unknown) {
      for (std::size_t y = 0; y < swatch; ++y)
        for (std::size_t x = 0; x < swatch; ++x) put(panel, top + y, left + x, unknown_color(y / scale, x / scale));
    } else {
      fill_box(panel, top, left, swatch, swatch, class_color(entry.label));
    }
    std::string const share = percent(entry.share);
    std::size_t const taken = swatch + 2 * gap + share_width + gap;
    std::size_t const room = column_width > taken ? (column_width - taken) / ((glyph_width + 1) * scale) : 0;
    std::string name = entry.name;
    if (name.size() > room) name = room > 2 ? name.substr(0, room - 2) + ".." : name.substr(0, room);
    draw_text(panel, text_top, left + swatch + gap, name, scale, text_color);
    draw_text(panel, text_top, left + swatch + gap + text_width(name, scale) + gap, share, scale, faint_color);
  }
  return panel;
}

}  // namespace detail

/// The classes' colours over the picture, their borders drawn dark, and a legend below it.
/// Throws ShapeError if the label map has another size than the picture.
KOVOS_DOOR Image render_overlay(Image const& picture, LabelMap const& labels, std::vector<std::string> const& names,
                                OverlayOptions const& options = {});

/// render_overlay as a PNG. Throws ShapeError, FileError or ImageError.
KOVOS_DOOR void write_overlay(std::filesystem::path const& path, Image const& picture, LabelMap const& labels,
                              std::vector<std::string> const& names, OverlayOptions const& options = {});

#ifdef KOVOS_DEFINES_DOORS

KOVOS_DOOR Image render_overlay(Image const& picture, LabelMap const& labels, std::vector<std::string> const& names,
                                OverlayOptions const& options) {
  require<ShapeError>(picture.height == labels.height && picture.width == labels.width && picture.height > 0 &&
                          picture.width > 0 && labels.labels.size() == labels.height * labels.width,
                      "[render_overlay] the picture is ", picture.height, " x ", picture.width, ", the label map ",
                      labels.height, " x ", labels.width);
  std::vector<detail::Color> colors;
  for (std::size_t i = 0; i < names.size(); ++i) colors.push_back(class_color(i));
  Image result = picture;
  for (std::size_t y = 0; y < picture.height; ++y)
    for (std::size_t x = 0; x < picture.width; ++x) {
      std::size_t const label = labels(y, x);
      detail::Color const color = label < colors.size() ? colors[label] : detail::unknown_color(y, x);
      bool const border =
          (x + 1 < picture.width && labels(y, x + 1) != label) || (y + 1 < picture.height && labels(y + 1, x) != label);
      double const shade = border ? 0.55 : 1.0;
      for (std::size_t c = 0; c < 3; ++c) {
        double const mixed = (1 - options.opacity) * picture.row(y)[3 * x + c] + options.opacity * color[c];
        result.row(y)[3 * x + c] = static_cast<std::uint8_t>(std::clamp(shade * mixed + 0.5, 0.0, 255.0));
      }
    }
  if (!options.legend) return result;
  Image const panel = detail::legend_panel(labels, names, picture.width, picture.height);
  result.height += panel.height;
  result.pixels.insert(result.pixels.end(), panel.pixels.begin(), panel.pixels.end());
  return result;
}

KOVOS_DOOR void write_overlay(std::filesystem::path const& path, Image const& picture, LabelMap const& labels,
                              std::vector<std::string> const& names, OverlayOptions const& options) {
  write_png(path, render_overlay(picture, labels, names, options));
}

#endif  // KOVOS_DEFINES_DOORS

}  // namespace kovos
