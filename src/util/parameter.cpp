#include "util/parameter.h"

namespace hipgpt {

namespace {

constexpr std::pair<Parameter, std::string_view> kFields[] = {
    {Parameter::kBatch, "batch"},
    {Parameter::kCheckpoint, "checkpoint"},
    {Parameter::kCheckpointEvery, "checkpoint_every"},
    {Parameter::kDataPaths, "data_paths"},
    {Parameter::kDType, "dtype"},
    {Parameter::kWeights, "weights"},
    {Parameter::kDevice, "device"},
    {Parameter::kEmbedDim, "embed_dim"},
    {Parameter::kExplainFile, "explain_file"},
    {Parameter::kExplainSteps, "explain_steps"},
    {Parameter::kExplainedTokens, "explained_tokens"},
    {Parameter::kExportFolder, "export_folder"},
    {Parameter::kFfHiddenDim, "ff_hidden_dim"},
    {Parameter::kFinalLayernorm, "final_layernorm"},
    {Parameter::kHeadBias, "head_bias"},
    {Parameter::kHeads, "num_heads"},
    {Parameter::kInitFrom, "init_from"},
    {Parameter::kInteractive, "interactive"},
    {Parameter::kLearningRate, "learning_rate"},
    {Parameter::kMaxSeqLen, "max_seq_len"},
    {Parameter::kMinLearningRate, "min_learning_rate"},
    {Parameter::kNumLayers, "num_layers"},
    {Parameter::kPerplexityFile, "perplexity_file"},
    {Parameter::kPreset, "preset"},
    {Parameter::kProfileSteps, "profile_steps"},
    {Parameter::kPrompt, "prompt"},
    {Parameter::kPromptFile, "prompt_file"},
    {Parameter::kPromptsFile, "prompts_file"},
    {Parameter::kRecompute, "recompute"},
    {Parameter::kReset, "reset"},
    {Parameter::kResume, "resume"},
    {Parameter::kRunName, "run_name"},
    {Parameter::kStep, "step"},
    {Parameter::kSteps, "steps"},
    {Parameter::kStopToken, "stop_token"},
    {Parameter::kStride, "stride"},
    {Parameter::kThreads, "threads"},
    {Parameter::kTokenizer, "tokenizer"},
    {Parameter::kTokens, "tokens"},
    {Parameter::kValDataPaths, "val_data_paths"},
    {Parameter::kValFraction, "val_fraction"},
    {Parameter::kVocabSize, "vocab_size"},
};
static_assert(names_every_parameter(kFields));

ParameterNames names = kFields;

}  // namespace

std::string_view name_of(Parameter parameter) {
  return names[static_cast<size_t>(parameter)].second;
}

void set_parameter_names(ParameterNames new_names) {
  names = new_names;
}

}  // namespace hipgpt
