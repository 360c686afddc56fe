// Counts what the waves of a kernel read and write.
//
// The lanes of a wave execute an instruction together. Here they run one after the other, so the accesses
// that belong together are found again afterwards: those of one wave, from one place in the machine code, at
// the same count of passes through this place. Memory moves lines of 128 bytes, so an instruction costs as
// many lines as its addresses touch. Shared memory has 32 banks of 4 bytes: in one turn, each bank gives one
// word. A turn serves 32 lanes that read 4 bytes, or 8 lanes that read 16. Lanes that need different words of
// one bank wait for further turns; lanes that need the same word share it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace exercise {

/// Accesses to device memory, summed over the instructions of all waves.
struct Traffic {
  int64_t instructions = 0, lines = 0, fewest_lines = 0, words = 0;

  double lines_each() const { return ratio(lines); }
  /// Lines if the same words lay side by side.
  double best_each() const { return ratio(fewest_lines); }

 private:
  double ratio(int64_t count) const {
    return instructions == 0 ? 0 : static_cast<double>(count) / static_cast<double>(instructions);
  }
};

/// Accesses to shared memory. `groups` is what can be served in one turn each without conflicts.
struct SharedTraffic {
  int64_t groups = 0, turns = 0, words = 0;

  double turns_each() const {
    return groups == 0 ? 0 : static_cast<double>(turns) / static_cast<double>(groups);
  }
};

struct Counts {
  Traffic reads, writes;
  SharedTraffic shared;
};

/// Starts to count from zero. Counts accesses to shared memory and to the arrays named by add_array().
/// An access up to 256 bytes beside such an array ends the program with a message.
void start_counting();
/// Counts of all blocks since start_counting().
Counts counts();

/// An array in device memory; `counted` says whether its accesses appear in counts().
void add_array(const void* begin, size_t bytes, bool counted);
void remove_array(const void* begin);

}  // namespace exercise
