// The command-line flag of each parameter of a run.
#pragma once

#include "util/parameter.h"

namespace hipgpt {

inline constexpr std::pair<Parameter, std::string_view> kFlagNames[] = {
    {Parameter::kBatch, "--batch"},
    {Parameter::kCheckpoint, "--ckpt"},
    {Parameter::kCheckpointEvery, "--ckpt-every"},
    {Parameter::kDataPaths, "--data-path"},
    {Parameter::kDType, "--dtype"},
    {Parameter::kWeights, "--weights"},
    {Parameter::kDevice, "--device"},
    {Parameter::kEmbedDim, "--dim"},
    {Parameter::kExplainFile, "--explain"},
    {Parameter::kExplainSteps, "--explain-steps"},
    {Parameter::kExplainedTokens, "--gen"},
    {Parameter::kExportFolder, "--export"},
    {Parameter::kFfHiddenDim, "--ff"},
    {Parameter::kFinalLayernorm, "--final-layernorm"},
    {Parameter::kHeadBias, "--head-bias"},
    {Parameter::kHeads, "--heads"},
    {Parameter::kInitFrom, "--init-from"},
    {Parameter::kInteractive, "--interactive"},
    {Parameter::kLearningRate, "--lr"},
    {Parameter::kMaxSeqLen, "--seq"},
    {Parameter::kMinLearningRate, "--min-lr"},
    {Parameter::kNumLayers, "--layers"},
    {Parameter::kPerplexityFile, "--perplexity"},
    {Parameter::kPreset, "--preset"},
    {Parameter::kProfileSteps, "--profile"},
    {Parameter::kPrompt, "--prompt"},
    {Parameter::kPromptFile, "--prompt-file"},
    {Parameter::kPromptsFile, "--prompts"},
    {Parameter::kRecompute, "--recompute"},
    {Parameter::kReset, "--reset"},
    {Parameter::kResume, "--resume"},
    {Parameter::kRunName, "--run-name"},
    {Parameter::kStep, "--step"},
    {Parameter::kSteps, "--steps"},
    {Parameter::kStopToken, "--eos-id"},
    {Parameter::kStride, "--stride"},
    {Parameter::kThreads, "--threads"},
    {Parameter::kTokenizer, "--tokenizer"},
    {Parameter::kTokens, "--tokens"},
    {Parameter::kValDataPaths, "--val-data-path"},
    {Parameter::kValFraction, "--val-fraction"},
    {Parameter::kVocabSize, "--vocab-size"},
};
static_assert(names_every_parameter(kFlagNames));

}  // namespace hipgpt
