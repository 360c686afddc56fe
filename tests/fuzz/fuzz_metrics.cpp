// Fuzzes metrics.jsonl. Whatever its lines are, a resumed run keeps some of them, and the report and the
// curve can be made from these. The first byte is the step at which the run resumes.
#include <cmath>

#include "fuzz_target.h"
#include "records/loss_curve.h"
#include "records/metrics_file.h"
#include "records/report.h"
#include "util/run_flags_text.h"

namespace hipgpt::fuzz {
namespace {

void check_points(const std::vector<RunHistory::Point>& points) {
  for (size_t i = 0; i < points.size(); ++i) {
    require(points[i].step >= 0 && points[i].step <= 1'000'000'000, "a step is in the range of a run");
    require(std::isfinite(points[i].value), "a recorded value is finite");
    require(i == 0 || points[i - 1].step < points[i].step, "steps ascend");
  }
}

void check(const RunHistory& history) {
  for (const auto* points : {&history.loss, &history.val_loss, &history.tokens_per_second})
    check_points(*points);
  require(history.elapsed_seconds >= 0.0 && history.elapsed_seconds <= 1e10, "the time of a run is in range");
  require(history.run.is_object(), "a run is described by an object");
  require(to_json(history.flags()).dump().size() <= 8u << 20, "the flags are at most as long as the file");
  const std::string curve = loss_curve_svg(history);
  require(curve.find("nan") == curve.npos && curve.find("inf") == curve.npos, "the curve is finite");
  require(!report_markdown(history).empty(), "the report is not empty");
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
  fuzz::require(text.starts_with(kept), "the kept lines are the beginning of the file");
  const fuzz::MemoryFile resumed(kept);
  const RunHistory history = read_history(resumed.path());
  fuzz::check(history);
  for (const auto& point : history.loss) fuzz::require(point.step <= data[0], "no later step is kept");
  return 0;
}
