// The smallest of three limits. See tests/exercises/occupancy.cpp for the task.
// > occupancy: right     done
#include <algorithm>

int occupancy(int registers, int lds, int threads) {
  const int granted = (registers + 7) / 8 * 8;
  int waves = std::min(8, 512 / granted);
  if (lds > 0) waves = std::min(waves, (65536 / lds * (threads / 64) + 3) / 4);
  return waves;
}
