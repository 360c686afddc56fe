// What HipGPT knows of a GPU from its architecture's name and the runtime's numbers.
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

/// A runtime's multiprocessors as compute units: on RDNA, HIP counts work-group processors, of which each has
/// two.
inline int compute_units(std::string_view architecture, int multiprocessors) {
  return is_rdna(architecture) ? 2 * multiprocessors : multiprocessors;
}

}  // namespace hipgpt::hip
