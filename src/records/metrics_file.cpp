#include "records/metrics_file.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include "util/atomic_file.h"
#include "util/files.h"
#include "util/mapped_file.h"
#include "util/run_flags_text.h"

namespace hipgpt {

namespace {

using Json = JsonValue;

/// The range of values that a run can write: losses are floats, and flags limit the steps. A file from
/// elsewhere may hold numbers that overflow a report's arithmetic.
struct Range {
  const char* name;
  double lowest, highest;
};
constexpr double kLargestFloat = std::numeric_limits<float>::max();
constexpr Range kStep = {"step", 0.0, 1e9};
constexpr Range kRanges[] = {kStep,
                             {"loss", -1.0, kLargestFloat},
                             {"val_loss", -1.0, kLargestFloat},
                             {"lr", 0.0, kLargestFloat},
                             {"grad_norm", 0.0, kLargestFloat},
                             {"tokens_per_s", 0.0, 1e15},
                             {"elapsed_s", 0.0, 1e10}};

/// Removes and returns the first line of `rest`, including its line end if it has one.
std::string_view take_line(std::string_view& rest) {
  const std::string_view line = rest.substr(0, rest.find('\n') + 1);  // npos + 1 is 0
  const std::string_view whole = line.empty() ? rest : line;
  rest.remove_prefix(whole.size());
  return whole;
}

/// Returns the object of a line, or null.
Json parse(std::string_view line) {
  std::optional<Json> record = try_parse_json(line);
  return record && record->is_object() ? std::move(*record) : Json();
}

/// Returns a number of a record if it is within its range; otherwise nullopt.
std::optional<double> number(const Json& record, const Range& range) {
  const Json& field = record[range.name];
  if (!field.is_number()) return std::nullopt;
  const double value = field.as_number();
  return value >= range.lowest && value <= range.highest ? std::optional(value) : std::nullopt;
}

std::optional<double> number(const Json& record, std::string_view name) {
  return number(record, *std::ranges::find(kRanges, name, &Range::name));
}

/// Returns whether a number of the record is outside the range that a run writes.
bool is_absurd(const Json& record) {
  return std::ranges::any_of(
      kRanges, [&](const Range& range) { return record[range.name].is_number() && !number(record, range); });
}

/// Returns the step of a run's record, or nullopt for any other line.
std::optional<int64_t> step_of(const Json& record) {
  const Json& step = record[kStep.name];
  if (!step.is_whole() || is_absurd(record)) return std::nullopt;
  return step.as_whole();
}

/// Truncates the file after `last_step`.
void forget_later_steps(const std::string& path, int64_t last_step) {
  if (!file_exists(path)) return;
  const MappedFile file(path, MappedFile::Access::kSequential);
  const std::string_view kept = lines_up_to(file.text(), last_step);
  if (kept.size() < file.text().size()) write_file_atomically(path, kept);
}

AppendFile open_to_continue(const std::string& path, std::optional<int64_t> resumed_step) {
  if (!resumed_step) return {path, AppendFile::Start::kEmpty};
  forget_later_steps(path, *resumed_step);
  return {path, AppendFile::Start::kKeep};
}

/// Adds an item to its series, by the rule for repeated steps (RunHistory).
template <typename Item>
void add(std::vector<Item>& items, Item item) {
  while (!items.empty() && items.back().step >= item.step) items.pop_back();
  items.push_back(std::move(item));
}

std::optional<std::string> text(const Json& record, const char* name) {
  const Json& value = record[name];
  return value.is_string() ? std::optional(value.as_string()) : std::nullopt;
}

}  // namespace

std::string_view lines_up_to(std::string_view text, int64_t last_step) {
  size_t keep = 0;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view line = take_line(rest);
    const auto step = step_of(parse(line));
    if (!line.ends_with('\n') || (step && *step > last_step)) break;
    if (step) keep = text.size() - rest.size();
  }
  return text.substr(0, keep);
}

MetricsFile::MetricsFile(const std::string& path, std::optional<int64_t> resumed_step)
    : out_(open_to_continue(path, resumed_step)) {}

void MetricsFile::write(const Json& record) {
  out_.write(record.dump() + '\n');
}

RunFlags RunHistory::flags() const {
  return run_flags_from(run["flags"]).value_or(RunFlags{});
}

std::optional<RunHistory::Point> RunHistory::best_validation() const {
  const auto best = std::min_element(val_loss.begin(), val_loss.end(),
                                     [](const Point& a, const Point& b) { return a.value < b.value; });
  return best == val_loss.end() ? std::nullopt : std::optional(*best);
}

RunHistory read_history(const std::string& path) {
  RunHistory history;
  if (!file_exists(path)) return history;
  const MappedFile file(path, MappedFile::Access::kSequential);
  for (std::string_view rest = file.text(); !rest.empty();) {
    const Json record = parse(take_line(rest));
    if (record["run"].is_object()) history.run = record["run"];
    const auto step = step_of(record);
    if (!step && is_absurd(record)) ++history.absurd_records;
    if (!step) continue;
    if (const auto loss = number(record, "loss")) add(history.loss, {*step, *loss});
    if (const auto loss = number(record, "val_loss")) add(history.val_loss, {*step, *loss});
    if (const auto speed = number(record, "tokens_per_s")) add(history.tokens_per_second, {*step, *speed});
    if (const auto sample = text(record, "sample")) {
      add(history.samples, {*step, text(record, "prompt").value_or(""), *sample});
    }
    history.elapsed_seconds = number(record, "elapsed_s").value_or(history.elapsed_seconds);
  }
  return history;
}

}  // namespace hipgpt
