#include "records/loss_curve.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "util/number_text.h"

namespace hipgpt {

namespace {

using Point = RunHistory::Point;

constexpr double kWidth = 800, kHeight = 440;
constexpr double kLeft = 64, kRight = 760, kTop = 20, kBottom = 384;  // of the plot area
constexpr size_t kColumns = 600;                                      // about one pixel each
constexpr size_t kMostMarks = 60;                                     // a longer validation curve has no dots

constexpr const char* kHead =
    R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img">
<title>Loss curve</title>
<style>
  svg {{ background: #ffffff; font: 13px sans-serif; }}
  .paper {{ fill: #ffffff; }} text {{ fill: #24292f; }} .note {{ stroke: #ffffff; }} .grid {{ stroke: #d8dee4; }} .axis {{ stroke: #57606a; }}
  .train {{ stroke: #2f6db5; }} .range {{ fill: #2f6db5; stroke: #2f6db5; opacity: 0.25; }}
  .val {{ stroke: #c8443c; }} .mark {{ fill: #c8443c; }} .line {{ fill: none; stroke-width: 2; stroke-linejoin: round; }}
  .note {{ paint-order: stroke; stroke-width: 4; }}
  @media (prefers-color-scheme: dark) {{
    svg {{ background: #0d1117; }}
    .paper {{ fill: #0d1117; }} text {{ fill: #c9d1d9; }} .note {{ stroke: #0d1117; }} .grid {{ stroke: #2b3138; }} .axis {{ stroke: #8b949e; }}
    .train {{ stroke: #6cb0f5; }} .range {{ fill: #6cb0f5; stroke: #6cb0f5; opacity: 0.3; }}
    .val {{ stroke: #ff8a80; }} .mark {{ fill: #ff8a80; }}
  }}
</style>
<clipPath id="plot"><rect x="{2}" y="{3}" width="{4}" height="{5}"/></clipPath>
<rect class="paper" width="{0}" height="{1}"/>
)";

/// A point of a drawn curve, with the range of the values it stands for.
struct Column {
  double step, mean, low, high;
};

/// Returns the points themselves, or kColumns groups of neighbours if there are more points.
std::vector<Column> columns(const std::vector<Point>& points) {
  const size_t count = std::min(points.size(), kColumns);
  std::vector<Column> result;
  for (size_t i = 0; i < count; ++i) {
    const size_t begin = i * points.size() / count, end = (i + 1) * points.size() / count;
    Column c{0.0, 0.0, points[begin].value, points[begin].value};
    for (size_t k = begin; k < end; ++k) {
      c.step += static_cast<double>(points[k].step);
      c.mean += points[k].value;
      c.low = std::min(c.low, points[k].value);
      c.high = std::max(c.high, points[k].value);
    }
    const auto members = static_cast<double>(end - begin);
    result.push_back({c.step / members, c.mean / members, c.low, c.high});
  }
  return result;
}

/// Averages each column with `reach` columns on each side, or fewer near the ends. At the beginning it drops
/// columns on both sides, so that the average does not lag behind a steep curve.
std::vector<double> smoothed(const std::vector<Column>& columns, size_t reach) {
  std::vector<double> sums = {0.0}, result;
  for (const Column& c : columns) sums.push_back(sums.back() + c.mean);
  for (size_t i = 0; i < columns.size(); ++i) {
    const size_t begin = i - std::min(reach, i);
    const size_t end = std::min(2 * i - begin + 1, columns.size());
    result.push_back((sums[end] - sums[begin]) / static_cast<double>(end - begin));
  }
  return result;
}

/// One axis of the plot. It maps values to pixels and has ticks at round numbers.
struct Axis {
  double first, last, tick;  // values
  double begin, end;         // pixels

  double at(double value) const { return begin + (value - first) / (last - first) * (end - begin); }
  int num_ticks() const { return static_cast<int>(std::floor((last - first) / tick + 1e-6)) + 1; }
  double tick_value(int i) const { return first + i * tick; }
};

/// Returns a tick distance of 1, 2 or 5 times a power of ten, so that `range` has at most `most` ticks.
double round_tick(double range, int most) {
  const double power = std::pow(10.0, std::floor(std::log10(range / most)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (range / (factor * power) <= most) return factor * power;
  }
  return 10.0 * power;
}

Axis step_axis(int64_t last_step) {
  const auto last = static_cast<double>(std::max<int64_t>(1, last_step));
  return {0.0, last, std::max(1.0, round_tick(last, 8)), kLeft, kRight};
}

/// Returns the `q` quantile of the values.
double quantile(std::vector<double> values, double q) {
  const auto nth = values.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), nth, values.end());
  return *nth;
}

/// The axis covers the first loss, all validation losses, and the other losses between their 1 % and 99 %
/// quantiles, because single records can be outliers.
Axis loss_axis(const std::vector<Column>& train, const std::vector<Column>& val) {
  std::vector<double> low, high, values;
  for (const Column& c : train) {
    low.push_back(c.low);
    high.push_back(c.high);
  }
  if (!train.empty()) values = {train[0].mean, quantile(low, 0.01), quantile(high, 0.99)};
  for (const Column& c : val) values.insert(values.end(), {c.low, c.high});
  if (values.empty()) values = {0.0};
  const auto [least, greatest] = std::minmax_element(values.begin(), values.end());
  const double range = std::max({*greatest - *least, 1e-3 * std::abs(*greatest), 0.01});
  const double tick = round_tick(range, 7);
  const double first = std::floor(*least / tick) * tick;
  const double last = std::max(std::ceil(*greatest / tick) * tick, first + tick);
  return {first, last, tick, kBottom, kTop};
}

std::string grid(const Axis& x, const Axis& y) {
  std::string out;
  const int decimals = std::max(0, -static_cast<int>(std::floor(std::log10(y.tick) + 1e-9)));
  for (int i = 0; i < y.num_ticks(); ++i) {
    const double at = y.at(y.tick_value(i));
    out += fmt::format("<path class=\"grid\" d=\"M{} {:.1f}H{}\"/>\n", kLeft, at, kRight);
    out += fmt::format("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n", kLeft - 8, at + 4.5,
                       y.tick < 1000 ? fmt::format("{:.{}f}", y.tick_value(i), decimals)
                                     : fmt::format("{:g}", y.tick_value(i)));
  }
  for (int i = 0; i < x.num_ticks(); ++i) {
    const double at = x.at(x.tick_value(i));
    out += fmt::format("<path class=\"axis\" d=\"M{:.1f} {}v5\"/>\n", at, kBottom);
    out += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", at, kBottom + 20,
                       grouped(std::llround(x.tick_value(i))));
  }
  out += fmt::format("<path class=\"axis\" d=\"M{} {}H{}\"/>\n", kLeft, kBottom, kRight);
  out += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">step</text>\n", (kLeft + kRight) / 2,
                     kBottom + 42);
  out += fmt::format(
      "<text transform=\"translate(18 {}) rotate(-90)\" text-anchor=\"middle\">cross-entropy (nats per "
      "token)</text>\n",
      (kTop + kBottom) / 2);
  return out;
}

/// Formats an SVG path such as "M1 2L3 4L5 6". A single point becomes a dot.
template <typename Y>
std::string path(const std::vector<Column>& columns, const Axis& x, const Y& y_of) {
  std::string out;
  for (size_t i = 0; i < columns.size(); ++i) {
    out += fmt::format("{}{:.1f} {:.1f}", i == 0 ? "M" : "L", x.at(columns[i].step), y_of(i));
  }
  return columns.size() == 1 ? out + "h2" : out;
}

std::string line(const char* style, const std::string& path) {
  return fmt::format("<path class=\"line {}\" clip-path=\"url(#plot)\" d=\"{}\"/>\n", style, path);
}

std::string training_curve(const std::vector<Column>& train, const std::vector<double>& smooth, const Axis& x,
                           const Axis& y) {
  if (train.empty()) return "";
  std::string out;
  if (train.size() > 1) {  // forward along the highest values, back along the lowest
    const std::vector<Column> back(train.rbegin(), train.rend());
    std::string there = path(train, x, [&](size_t i) { return y.at(train[i].high); });
    std::string again = path(back, x, [&](size_t i) { return y.at(back[i].low); });
    again[0] = 'L';
    out += fmt::format("<path class=\"range\" clip-path=\"url(#plot)\" d=\"{}{}Z\"/>\n", there, again);
  }
  return out + line("train", path(train, x, [&](size_t i) { return y.at(smooth[i]); }));
}

std::string validation_curve(const std::vector<Column>& val, const std::optional<Point>& best, const Axis& x,
                             const Axis& y) {
  if (val.empty()) return "";
  std::string out = line("val", path(val, x, [&](size_t i) { return y.at(val[i].mean); }));
  if (val.size() <= kMostMarks) {
    for (const Column& c : val) {
      out += fmt::format("<circle class=\"mark\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\"/>\n", x.at(c.step),
                         y.at(c.mean));
    }
  }
  const double at = x.at(static_cast<double>(best->step));
  return out + fmt::format(
                   "<text class=\"note\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">best {:.5g} at step "
                   "{}</text>\n",
                   at, y.at(best->value) - 12, at > (kLeft + kRight) / 2 ? "end" : "start", best->value,
                   grouped(best->step));
}

/// Draws the legend in the upper right corner, which a falling loss leaves free.
std::string legend(bool training, size_t window, bool validation) {
  std::string out;
  double y = kTop + 14;
  const auto entry = [&](const char* style, const std::string& text) {
    out += fmt::format("<path class=\"line {}\" d=\"M{} {}h24\"/>\n", style, kRight - 36, y);
    out += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n", kRight - 44, y + 4.5, text);
    y += 20;
  };
  if (training) {
    entry("train", window > 1 ? fmt::format("training (mean of about {} records)",
                                            grouped(static_cast<long long>(window)))
                              : "training");
  }
  if (validation) entry("val", "validation");
  return out;
}

}  // namespace

std::string loss_curve_svg(const RunHistory& history) {
  const std::vector<Column> train = columns(history.loss), val = columns(history.val_loss);
  const size_t reach = std::min<size_t>(25, train.size() / 40);
  const std::vector<double> smooth = smoothed(train, reach);
  int64_t last_step = 0;
  for (const auto* points : {&history.loss, &history.val_loss}) {
    if (!points->empty()) last_step = std::max(last_step, points->back().step);
  }
  const Axis x = step_axis(last_step), y = loss_axis(train, val);
  const size_t window = train.empty() ? 0 : (2 * reach + 1) * history.loss.size() / train.size();
  return fmt::format(kHead, kWidth, kHeight, kLeft, kTop, kRight - kLeft, kBottom - kTop) + grid(x, y) +
         training_curve(train, smooth, x, y) + validation_curve(val, history.best_validation(), x, y) +
         legend(!train.empty(), window, !val.empty()) + "</svg>\n";
}

}  // namespace hipgpt
