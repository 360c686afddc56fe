// Draws the loss curve of a run.
#pragma once

#include <string>

#include "records/metrics_file.h"

namespace hipgpt {

/// Returns an SVG of training and validation loss (cross-entropy in nats per token) over the steps, for light
/// and dark screens. Training losses are noisy, so they are drawn pale with their moving average on top. A
/// long run is drawn in columns that show the mean and range of their records, so that the picture stays
/// small.
std::string loss_curve_svg(const RunHistory& history);

}  // namespace hipgpt
