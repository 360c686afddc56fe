// The interface to AddressSanitizer, which must know the current stack and can forbid access to bytes.
// Without the sanitizer, these functions do nothing.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define HIPGPT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HIPGPT_ASAN 1
#endif
#endif

#ifdef HIPGPT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace hipgpt::emulated {

#ifdef HIPGPT_ASAN
constexpr bool kAddressSanitizer = true;
#else
constexpr bool kAddressSanitizer = false;
#endif

inline void forbid_access([[maybe_unused]] const void* memory, [[maybe_unused]] size_t bytes) {
#ifdef HIPGPT_ASAN
  ASAN_POISON_MEMORY_REGION(memory, bytes);
#endif
}

inline void allow_access([[maybe_unused]] const void* memory, [[maybe_unused]] size_t bytes) {
#ifdef HIPGPT_ASAN
  ASAN_UNPOISON_MEMORY_REGION(memory, bytes);
#endif
}

}  // namespace hipgpt::emulated
