// report.md: a training run on one page, and loss.svg beside it.
#pragma once

#include <string>

#include "records/metrics_file.h"
#include "run_folder.h"

namespace hipgpt {

/// The page in Markdown: how far the run came and its losses, the model, the data, the settings, the program,
/// and some of the samples, from the first to the last. All of it comes from the metrics file, so it covers
/// the whole of a run that was interrupted and resumed.
std::string report_markdown(const RunHistory& history);

/// The part of it that is known at the start: model, data, settings and program, from a run's description.
std::string description_markdown(const JsonValue& run);

/// Writes both files of the run in `folder`, from its metrics file. Error if a file can't be written, or if
/// one of that name is not a report: that one stays.
void write_report(const RunFolder& folder);

}  // namespace hipgpt
