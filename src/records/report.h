// Writes report.md, a one-page summary of a training run, and loss.svg.
#pragma once

#include <string>

#include "records/metrics_file.h"
#include "run_folder.h"

namespace hipgpt {

/// Returns the page in Markdown: the run's progress and losses, model, data, settings, program, and some
/// samples from first to last. All of it comes from the metrics file, so it covers the whole of an
/// interrupted and resumed run.
std::string report_markdown(const RunHistory& history);

/// Returns the part that is known at the start: model, data, settings and program, from the run's
/// description.
std::string description_markdown(const JsonValue& run);

/// Writes both files of the run in `folder` from its metrics file. Throws Error if a file cannot be written,
/// or if an existing file was not written by train_gpt; that file stays unchanged.
void write_report(const RunFolder& folder);

}  // namespace hipgpt
