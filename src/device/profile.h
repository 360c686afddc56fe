// Profile: where the time of recorded operations goes, as a table.
#pragma once

#include <string>
#include <vector>

#include "device/measured_speed.h"
#include "device/timing_device.h"

namespace hipgpt {

/// All calls of one operation with the same shapes.
struct ProfileRow {
  std::string name, shapes;
  int64_t calls = 0;
  double seconds = 0.0, flops = 0.0, bytes = 0.0;
};

/// The rows of these calls, the longest time first.
std::vector<ProfileRow> profile_rows(const std::vector<TimingDevice::Call>& calls);

/// The table of `steps` recorded steps: lines without a final line feed. Each row has the calls, time, FLOP
/// and bytes of one step, and the part of the roofline's speed that it reaches. The last row has the sums.
std::string profile_table(const std::vector<ProfileRow>& rows, int64_t steps, const Roofline& roofline);

}  // namespace hipgpt
