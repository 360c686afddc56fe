// Poison: the contents of uninitialised memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "platform/emulated/emulator.h"

namespace hipgpt::emulated {

/// The address determines which byte of the word goes where, because guards may begin anywhere.
inline unsigned char poison_byte(const void* at) {
  return static_cast<unsigned char>(kPoison >> reinterpret_cast<uintptr_t>(at) % 4 * 8);
}

inline void fill_with_poison(void* memory, size_t bytes) {
  auto* at = static_cast<unsigned char*>(memory);
  unsigned char* const end = at + bytes;
  for (; at != end && reinterpret_cast<uintptr_t>(at) % 8 != 0; ++at) *at = poison_byte(at);
  for (; end - at >= 8; at += 8) std::memcpy(at, &kPoison64, 8);
  for (; at != end; ++at) *at = poison_byte(at);
}

inline bool holds_poison(const void* memory, size_t bytes) {
  const auto* at = static_cast<const unsigned char*>(memory);
  const unsigned char* const end = at + bytes;
  for (; at != end && reinterpret_cast<uintptr_t>(at) % 8 != 0; ++at)
    if (*at != poison_byte(at)) return false;
  for (; end - at >= 8; at += 8)
    if (std::memcmp(at, &kPoison64, 8) != 0) return false;
  for (; at != end; ++at)
    if (*at != poison_byte(at)) return false;
  return true;
}

}  // namespace hipgpt::emulated
