#include "records/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <vector>

#include "error.h"
#include "records/loss_curve.h"
#include "records/markdown.h"
#include "util/atomic_file.h"
#include "util/files.h"
#include "util/mapped_file.h"
#include "util/number_text.h"

namespace hipgpt {

namespace {

using Json = JsonValue;

/// This first line marks a file that may be replaced.
constexpr std::string_view kMark = "<!-- Made by train_gpt at the end of a run, which replaces it. -->\n";

constexpr size_t kMostSamples = 6;

/// Formats a string without quotes, a list with commas, and a float without the extra digits of its double
/// value.
std::string plain(const Json& value) {
  if (value.is_string()) return value.as_string();
  if (value.is_array()) {
    std::string all;
    for (const Json& part : value.items()) all += (all.empty() ? "" : ", ") + plain(part);
    return all;
  }
  return value.is_number() && !value.is_whole() ? fmt::format("{:g}", value.as_number()) : value.dump();
}

std::string count(const Json& value) {
  const bool fits = value.is_whole() && std::abs(value.as_number()) < 1e18;
  return fits ? grouped(value.as_whole()) : plain(value);
}

/// Returns a count from the run's description, or 0 if it is missing or too large for a double to hold
/// exactly.
int64_t whole(const Json& run, const char* name) {
  constexpr double kLargest = 9007199254740992.0;
  const Json& field = run[name];
  return field.is_count() && field.as_number() <= kLargest ? field.as_whole() : 0;
}

struct Field {
  const char* name;
  const char* label;
};

/// Returns rows for the fields that the run's description has.
std::string rows(const Json& run, const std::vector<Field>& fields,
                 std::string (*text)(const Json&) = plain) {
  std::string out;
  for (const auto& [name, label] : fields) {
    const Json& value = run[name];
    const bool is_empty = value.is_null() || value == Json::Array() || value == Json::Object();
    if (!is_empty) out += markdown::table_row(label, text(value));
  }
  return out;
}

std::string loss_text(double loss) {
  return loss < 20.0 ? fmt::format("{:.4f} (perplexity {:.1f})", loss, std::exp(loss))
                     : fmt::format("{:g}", loss);
}

/// Returns the median. For speeds it is the speed of training alone, without validations, samples and
/// checkpoints.
double median(const std::vector<RunHistory::Point>& points) {
  std::vector<double> values;
  for (const auto& point : points) values.push_back(point.value);
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

int64_t last_step(const RunHistory& history) {
  return history.loss.empty() ? 0 : history.loss.back().step;
}

std::string steps_text(int64_t step, int64_t planned) {
  return step < planned ? fmt::format("{} of {}: stopped early", grouped(step), grouped(planned))
                        : grouped(step);
}

/// Formats "1,024,000, 3.10 times the training text".
std::string tokens_text(const Json& run, int64_t step) {
  double tokens = static_cast<double>(step);  // the flags allow more tokens than 64 bits hold
  for (const char* factor : {"batch", "grad_accum", "seq"}) tokens *= static_cast<double>(whole(run, factor));
  const std::string shown =
      tokens < 1e18 ? grouped(static_cast<long long>(tokens)) : fmt::format("{:.3g}", tokens);
  const int64_t text = whole(run, "train_tokens");
  if (text == 0) return shown;
  return fmt::format("{}, {:.2f} times the training text", shown, tokens / static_cast<double>(text));
}

std::string results(const RunHistory& history) {
  const int64_t step = last_step(history);
  std::string out = markdown::table_head("result", "");
  out += markdown::table_row("steps", steps_text(step, whole(history.run, "steps")));
  out += markdown::table_row("tokens", tokens_text(history.run, step));
  if (!history.loss.empty()) {
    out += markdown::table_row("training loss of the last step", loss_text(history.loss.back().value));
  }
  if (const auto best = history.best_validation()) {
    out += markdown::table_row("validation loss", loss_text(history.val_loss.back().value));
    out += markdown::table_row("best validation loss",
                               fmt::format("{} at step {}", loss_text(best->value), grouped(best->step)));
  }
  out += markdown::table_row("time", duration_text(history.elapsed_seconds));
  if (!history.tokens_per_second.empty()) {
    const auto speed = static_cast<long long>(median(history.tokens_per_second));
    out += markdown::table_row("speed", fmt::format("{} tokens/s (median)", grouped(speed)));
  }
  return out;
}

/// Formats at most kMostSamples samples, evenly spaced and including the first and the last.
std::string samples(const std::vector<RunHistory::Sample>& all) {
  if (all.empty()) return "";
  std::string out = "\n## Samples\n";
  const size_t count = std::min(all.size(), kMostSamples);
  for (size_t i = 0; i < count; ++i) {
    const auto& sample = all[count == 1 ? 0 : i * (all.size() - 1) / (count - 1)];
    out += fmt::format("\nStep {}:\n{}", grouped(sample.step),
                       markdown::code_block(sample.prompt + sample.continuation));
  }
  return out;
}

void replace(const std::string& path, const std::string& content) {
  if (file_exists(path) && !MappedFile(path, MappedFile::Access::kSequential).text().starts_with(kMark)) {
    throw Error(path + ": exists and was not written by train_gpt; report not written");
  }
  write_file_atomically(path, std::string(kMark) + content);
}

}  // namespace

std::string description_markdown(const Json& run) {
  std::string out = "\n## Model\n" + markdown::table_head("size", "");
  out += rows(run,
              {{"parameters", "parameters"},
               {"vocab_size", "V, vocabulary"},
               {"seq", "S, tokens seen at once"},
               {"dim", "E, embedding"},
               {"heads", "H, heads"},
               {"layers", "L, layers"},
               {"ff", "F, feed-forward"},
               {"activation", "activation"}},
              count);
  out += "\n## Data\n" + markdown::table_head("text", "");
  out += rows(run,
              {{"data", "data"},
               {"val_data", "data to validate on"},
               {"train_tokens", "tokens to train on"},
               {"val_tokens", "tokens to validate on"}},
              count);
  out += "\n## Settings\n" + markdown::table_head("setting", "value");
  for (const char* name : {"steps", "batch", "grad_accum", "lr", "min_lr", "warmup_steps", "beta1", "beta2",
                           "weight_decay", "grad_clip", "dropout", "seed"}) {
    out += rows(run, {{name, name}});
  }
  out += "\n## Program\n" + markdown::table_head("what", "version");
  out += rows(run, {{"version", "HipGPT"}, {"compiler", "compiler"}, {"device", "device"}});
  return run["command"].is_string() ? out + markdown::code_block(plain(run["command"])) : out;
}

std::string report_markdown(const RunHistory& history) {
  const Json& run = history.run;
  const std::string name = run.find("name") ? plain(run["name"]) : "";
  const std::string title = name.empty() ? "Training run" : "Training run " + markdown::escaped(name);
  return fmt::format("# {}\n\n![Loss curve](loss.svg)\n", title) + results(history) +
         samples(history.samples) + description_markdown(run);
}

void write_report(const RunFolder& folder) {
  const RunHistory history = read_history(folder.metrics());
  replace(folder.loss_curve(), loss_curve_svg(history));
  replace(folder.report(), report_markdown(history));
}

}  // namespace hipgpt
