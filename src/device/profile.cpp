#include "device/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

namespace hipgpt {

std::vector<ProfileRow> profile_rows(const std::vector<TimingDevice::Call>& calls) {
  std::map<std::pair<std::string, std::string>, ProfileRow> by_shape;
  for (const TimingDevice::Call& call : calls) {
    ProfileRow& row = by_shape[{call.name, call.cost.shapes}];
    row.name = call.name;
    row.shapes = call.cost.shapes;
    ++row.calls;
    row.seconds += call.seconds;
    row.flops += call.cost.flops;
    row.bytes += call.cost.bytes;
  }
  std::vector<ProfileRow> rows;
  for (auto& [key, row] : by_shape) rows.push_back(std::move(row));
  std::ranges::stable_sort(rows, std::greater{}, &ProfileRow::seconds);
  return rows;
}

namespace {

std::string line(const ProfileRow& row, int64_t steps, double all_seconds, double shortest) {
  const auto n = static_cast<double>(steps);
  return fmt::format("{:<28}{:<30}{:>5g}{:>9.3f}{:>7.1f}%{:>10.2f}{:>9.2f}{:>9.1f}{:>7.0f}%", row.name,
                     row.shapes, static_cast<double>(row.calls) / n, row.seconds / n * 1e3,
                     100.0 * row.seconds / all_seconds, row.flops / n / 1e6, row.bytes / n / 1e6,
                     row.bytes > 0.0 ? row.flops / row.bytes : 0.0, 100.0 * shortest / row.seconds);
}

}  // namespace

std::string profile_table(const std::vector<ProfileRow>& rows, int64_t steps, const Roofline& roofline) {
  ProfileRow all;
  all.name = "all";
  double shortest = 0.0;
  for (const ProfileRow& row : rows) {
    all.calls += row.calls;
    all.seconds += row.seconds;
    all.flops += row.flops;
    all.bytes += row.bytes;
    shortest += roofline.shortest(row.flops, row.bytes);
  }
  std::string table = fmt::format(
      "{} step{}, one operation at a time: {:.2f} ms of operations per step\n"
      "Limits of the device, measured: {:.1f} GFLOP/s in a matrix product, {:.1f} GB/s in a copy.\n"
      "roof: the time that these limits allow, as a part of the time taken. Over 100%: the data were in a "
      "cache.\n"
      "{:<28}{:<30}{:>5}{:>9}{:>8}{:>10}{:>9}{:>9}{:>8}\n",
      steps, steps == 1 ? "" : "s", all.seconds / static_cast<double>(steps) * 1e3,
      roofline.flops_per_second / 1e9, roofline.bytes_per_second / 1e9, "operation", "shapes", "calls", "ms",
      "share", "MFLOP", "MB", "FLOP/B", "roof");
  for (const ProfileRow& row : rows) {
    table += line(row, steps, all.seconds, roofline.shortest(row.flops, row.bytes)) + "\n";
  }
  return table + line(all, steps, all.seconds, shortest);
}

}  // namespace hipgpt
