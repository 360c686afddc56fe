// Parameter: what a run can be told, as messages name it.
#pragma once

#include <fmt/core.h>

#include <span>
#include <string_view>
#include <utility>

namespace hipgpt {

/// The parameters that messages name. A message with one of them in it reads well for everybody:
///
///   fmt::format("{} {}: must be at least 1", Parameter::kMaxSeqLen, 0)
///
/// is "max_seq_len 0: must be at least 1" for a program that calls the library, by the field of its public
/// headers. Our own programs put the flag in its place, which only they know (cli/flag_names.h).
enum class Parameter {
  kBatch,
  kCheckpoint,
  kDataPaths,
  kDevice,
  kEmbedDim,
  kExportFolder,
  kFfHiddenDim,
  kFinalLayernorm,
  kHeadBias,
  kHeads,
  kInteractive,
  kLearningRate,
  kMaxSeqLen,
  kMinLearningRate,
  kNumLayers,
  kPerplexityFile,
  kPreset,
  kPrompt,
  kPromptFile,
  kPromptsFile,
  kReset,
  kResume,
  kRunName,
  kStep,
  kSteps,
  kStopToken,
  kStride,
  kThreads,
  kTokenizer,
  kValDataPaths,
  kValFraction,
  kVocabSize,
  kCount
};

/// A name for each parameter, in the order of the enumeration.
using ParameterNames = std::span<const std::pair<Parameter, std::string_view>>;

/// Whether `names` has each parameter once, in order: for a static_assert beside a table.
constexpr bool names_every_parameter(ParameterNames names) {
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].first != static_cast<Parameter>(i)) return false;
  }
  return names.size() == static_cast<size_t>(Parameter::kCount);
}

/// The name in messages: of the field, unless set_parameter_names() was called.
std::string_view name_of(Parameter parameter);

/// For a program, once, before it has threads. `names` must be complete and outlive all messages.
void set_parameter_names(ParameterNames names);

}  // namespace hipgpt

template <>
struct fmt::formatter<hipgpt::Parameter> : fmt::formatter<std::string_view> {
  template <typename Context>
  auto format(hipgpt::Parameter parameter, Context& context) const {
    return fmt::formatter<std::string_view>::format(hipgpt::name_of(parameter), context);
  }
};
