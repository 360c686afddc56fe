// Chooses the vector instructions of the CPU's operations for a test.
#pragma once

#include "cpu/vector_level.h"

namespace hipgpt {

/// Sets a level until the end of the scope.
struct ForcedLevel {
  explicit ForcedLevel(cpu::VectorLevel level) { cpu::set_vector_level(level); }
  ~ForcedLevel() { cpu::set_vector_level(cpu::processor_level()); }
  ForcedLevel(const ForcedLevel&) = delete;
  ForcedLevel& operator=(const ForcedLevel&) = delete;
};

}  // namespace hipgpt
