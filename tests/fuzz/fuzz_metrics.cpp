// metrics.jsonl: whatever its lines are, a run that resumes keeps a part of them, and the report and the
// curve are made of what is left. The first byte is the step that is resumed at.
#include <cmath>

#include "fuzz_target.h"
#include "records/loss_curve.h"
#include "records/metrics_file.h"
#include "records/report.h"

namespace hipgpt::fuzz {
namespace {

void check_points(const std::vector<RunHistory::Point>& points) {
  for (size_t i = 0; i < points.size(); ++i) {
    require(points[i].step >= 0 && points[i].step <= 1'000'000'000, "a step is one that a run can have");
    require(std::isfinite(points[i].value), "what was recorded is a number");
    require(i == 0 || points[i - 1].step < points[i].step, "steps ascend");
  }
}

void check(const RunHistory& history) {
  for (const auto* points : {&history.loss, &history.val_loss, &history.tokens_per_second})
    check_points(*points);
  require(history.elapsed_seconds >= 0.0 && history.elapsed_seconds <= 1e10, "a run takes some time");
  require(history.run.is_object(), "a run is described by an object");
  for (const std::string& flag : history.flags())
    require(flag.size() <= 1 << 20, "a flag is a part of the file");
  const std::string curve = loss_curve_svg(history);
  require(curve.find("nan") == curve.npos && curve.find("inf") == curve.npos, "the curve has finite places");
  require(!report_markdown(history).empty(), "there is a report");
}

}  // namespace
}  // namespace hipgpt::fuzz

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hipgpt;
  if (size == 0) return 0;
  const std::string_view text = fuzz::as_text(data, size).substr(1);
  const fuzz::MemoryFile file(text);
  fuzz::check(read_history(file.path()));

  const std::string_view kept = lines_up_to(text, data[0]);
  fuzz::require(text.starts_with(kept), "what is kept is the beginning");
  const fuzz::MemoryFile resumed(kept);
  const RunHistory history = read_history(resumed.path());
  fuzz::check(history);
  for (const auto& point : history.loss) fuzz::require(point.step <= data[0], "later steps are gone");
  return 0;
}
