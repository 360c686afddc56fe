#include "cpu/blas_core.h"

#include <cblas.h>
#include <fmt/format.h>
#include <strings.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <string_view>

// Internal functions of OpenBLAS builds that choose kernels at run time: forget the choice, and choose again.
// They are weak because no header declares them and other builds lack them.
extern "C" [[gnu::weak]] void gotoblas_dynamic_quit();
extern "C" [[gnu::weak]] void gotoblas_dynamic_init();

namespace hipgpt::cpu {

namespace {

constexpr const char* kVariable = "OPENBLAS_CORETYPE";

/// The level that the kernels of a core need, or none for the cores of other architectures.
std::optional<VectorLevel> level_of(std::string_view core) {
  using enum VectorLevel;
  struct Core {
    std::string_view name;
    VectorLevel level;
  };
  static constexpr std::array kCores = {Core{"Katmai", kBaseline},    Core{"Coppermine", kBaseline},
                                        Core{"Northwood", kBaseline}, Core{"Prescott", kBaseline},
                                        Core{"Banias", kBaseline},    Core{"Core2", kBaseline},
                                        Core{"Penryn", kBaseline},    Core{"Dunnington", kBaseline},
                                        Core{"Nehalem", kBaseline},   Core{"Athlon", kBaseline},
                                        Core{"Opteron", kBaseline},   Core{"Opteron_SSE3", kBaseline},
                                        Core{"Barcelona", kBaseline}, Core{"Nano", kBaseline},
                                        Core{"Bobcat", kBaseline},    Core{"Atom", kBaseline},
                                        Core{"Sandybridge", kAVX},    Core{"Bulldozer", kAVX},
                                        Core{"Piledriver", kAVX},     Core{"Steamroller", kAVX},
                                        Core{"Excavator", kAVX2},     Core{"Haswell", kAVX2},
                                        Core{"Zen", kAVX2},           Core{"SkylakeX", kAVX512},
                                        Core{"Cooperlake", kAVX512},  Core{"SapphireRapids", kAVX512}};
  const auto* found = std::ranges::find(kCores, core, &Core::name);
  return found == kCores.end() ? std::nullopt : std::optional(found->level);
}

/// The core with the widest kernels of a level.
const char* core_of(VectorLevel level) {
  switch (level) {
    case VectorLevel::kBaseline: return "Nehalem";
    case VectorLevel::kAVX: return "Sandybridge";
    case VectorLevel::kAVX2: return "Haswell";
    case VectorLevel::kAVX512:
    case VectorLevel::kAMX: return "SkylakeX";
  }
  return "";
}

/// Makes OpenBLAS choose again, as if `core` were in the environment.
void choose(const char* core) {
  const char* value = std::getenv(kVariable);
  const std::optional<std::string> before = value ? std::optional<std::string>(value) : std::nullopt;
  ::setenv(kVariable, core, 1);
  gotoblas_dynamic_quit();
  gotoblas_dynamic_init();
  if (before) {
    ::setenv(kVariable, before->c_str(), 1);
  } else {
    ::unsetenv(kVariable);
  }
}

}  // namespace

std::string correct_blas_core(VectorLevel processor) {
  processor = std::min(processor, VectorLevel::kAVX512);  // no core needs more for products in fp32
  const std::string core = openblas_get_corename();
  const auto level = level_of(core);
  if (!level || *level == processor) return "";
  const char* variable = std::getenv(kVariable);
  const bool asked_for = variable != nullptr && ::strcasecmp(variable, core.c_str()) == 0;
  const bool older = *level < processor;
  if (older && asked_for) {
    return fmt::format("{}={}: matrix products do not use this processor's {} and are slow; unset {}",
                       kVariable, variable, to_string(processor), kVariable);
  }
  const bool can_choose = gotoblas_dynamic_quit != nullptr && gotoblas_dynamic_init != nullptr;
  if (can_choose) choose(core_of(processor));
  const std::string now = openblas_get_corename();
  if (now == core) {
    return fmt::format(
        "OpenBLAS uses kernels for {}, but this processor has {}: {}; install another OpenBLAS", core,
        to_string(processor), older ? "matrix products are slow" : "they may crash");
  }
  if (!asked_for) return "";
  return fmt::format("{}={}: needs {}, which this processor lacks; using {}", kVariable, variable,
                     to_string(*level), now);
}

}  // namespace hipgpt::cpu
