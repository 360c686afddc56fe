// Parameter: the names of a run's parameters in messages.
#pragma once

#include <fmt/core.h>

#include <span>
#include <string_view>
#include <utility>

namespace hipgpt {

/// The parameters that messages name. A message with a Parameter suits every kind of caller:
///
///   fmt::format("{} {}: must be at least 1", Parameter::kMaxSeqLen, 0)
///
/// is "max_seq_len 0: must be at least 1" for a program that calls the library, by the field of its public
/// headers. Our own programs substitute the flag, which only they know (cli/flag_names.h).
enum class Parameter {
  kBatch,
  kCheckpoint,
  kCheckpointEvery,
  kDataPaths,
  kDType,
  kWeights,
  kDevice,
  kEmbedDim,
  kExplainFile,
  kExplainSteps,
  kExplainedTokens,
  kExportFolder,
  kFfHiddenDim,
  kFinalLayernorm,
  kHeadBias,
  kHeads,
  kInitFrom,
  kInteractive,
  kLearningRate,
  kMaxSeqLen,
  kMinLearningRate,
  kNumLayers,
  kPerplexityFile,
  kPreset,
  kProfileSteps,
  kPrompt,
  kPromptFile,
  kPromptsFile,
  kRecompute,
  kReset,
  kResume,
  kRunName,
  kStep,
  kSteps,
  kStopToken,
  kStride,
  kThreads,
  kTokenizer,
  kTokens,
  kValDataPaths,
  kValFraction,
  kVocabSize,
  kCount
};

/// A name for each parameter, in the order of the enumeration.
using ParameterNames = std::span<const std::pair<Parameter, std::string_view>>;

/// Whether `names` has each parameter once, in order. For a static_assert next to a table.
constexpr bool names_every_parameter(ParameterNames names) {
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].first != static_cast<Parameter>(i)) return false;
  }
  return names.size() == static_cast<size_t>(Parameter::kCount);
}

/// The parameter's name in messages: the field's name, unless set_parameter_names() was called.
std::string_view name_of(Parameter parameter);

/// A program calls this at most once, before it starts threads. `names` must be complete and outlive all
/// messages.
void set_parameter_names(ParameterNames names);

}  // namespace hipgpt

template <>
struct fmt::formatter<hipgpt::Parameter> : fmt::formatter<std::string_view> {
  template <typename Context>
  auto format(hipgpt::Parameter parameter, Context& context) const {
    return fmt::formatter<std::string_view>::format(hipgpt::name_of(parameter), context);
  }
};
