// The processes that follow the leader of a run: they compute their parts of every step and write nothing.
#pragma once

#include <functional>
#include <string>

#include "comm/processes.h"
#include "data_loader.h"
#include "gpt_model.h"
#include "run_training.h"
#include "training/prepare_data.h"

namespace hipgpt {

/// What the leader tells the others to compute with it. Each is one letter of a message.
enum class Command : char {
  kStep = 's',      ///< Trainer::train_step()
  kResult = 'r',    ///< Trainer::last_step()
  kValidate = 'v',  ///< evaluate()
  kSave = 'w',      ///< Trainer::read_moments()
  kEnd = 'e',       ///< the run is over; the exit status follows
};

/// The leader tells the others what only it knows at the start, because it has read and written the files.
void tell_start(Team& team, const ModelConfig& config, const TrainingTokens& tokens);
void tell_end(Team& team, int status);

/// Throws Error in the leader if a process differs in what a run needs to be one.
void agree_on_flags(Processes& processes, const TrainingRun& run);
void agree_on_model(Processes& processes, const GPTModel& model, const TrainingTokens& tokens);

/// The batches that this process takes from a part of the tokens.
DataLoader loader(const TokenPart& part, const TrainingRun& run, const ModelConfig& config,
                  const Communicator& communicator);

/// Follows the leader to the end of the run. `warn` is make_device's. Returns the exit status.
int follow(const TrainingRun& run, Processes& processes, const std::function<void(const std::string&)>& warn);

}  // namespace hipgpt
