// What HipGPT derives from a GPU's architecture name and the runtime's properties.
#pragma once

#include <string>
#include <string_view>

namespace hipgpt::hip {

/// "gfx90a:sramecc+:xnack-" -> "gfx90a".
inline std::string architecture(std::string_view gcn_arch_name) {
  return std::string(gcn_arch_name.substr(0, gcn_arch_name.find(':')));
}

/// gfx10 to gfx12: "gfx1030", not "gfx942".
inline bool is_rdna(std::string_view architecture) {
  return architecture.starts_with("gfx1") && architecture.size() == 7;
}

inline bool is_amd(std::string_view architecture) {
  return architecture.starts_with("gfx");
}

/// Whether the kernels use matrix cores for bf16 on this architecture: NVIDIA's sm_80 and later, and AMD's
/// gfx90a, gfx94x, gfx950, gfx11 and gfx12. Elsewhere bf16 works, but slowly.
inline bool multiplies_bf16(std::string_view architecture) {
  if (is_amd(architecture)) {
    return architecture == "gfx90a" || architecture.starts_with("gfx94") || architecture == "gfx950" ||
           (is_rdna(architecture) && architecture >= "gfx11");
  }
  return architecture.starts_with("sm_") && (architecture.size() > 5 || architecture >= "sm_80");
}

/// Converts the runtime's multiprocessor count to compute units. On RDNA, HIP counts work-group processors,
/// which have two compute units each.
inline int compute_units(std::string_view architecture, int multiprocessors) {
  return is_rdna(architecture) ? 2 * multiprocessors : multiprocessors;
}

}  // namespace hipgpt::hip
