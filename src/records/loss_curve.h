// The loss curve of a run as a picture.
#pragma once

#include <string>

#include "records/metrics_file.h"

namespace hipgpt {

/// An SVG of training and validation loss (cross-entropy in nats per token) over the steps, for light and for
/// dark screens. Training losses jump from record to record: they are drawn pale, with their moving average
/// on top. A long run is drawn in columns, of the mean and the range of the records in each, so that the
/// picture stays small.
std::string loss_curve_svg(const RunHistory& history);

}  // namespace hipgpt
