// A whole training run: from texts to a checkpoint, with everything a person wants to see on the way.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model_config.h"
#include "trainer.h"

namespace hipgpt {

struct TrainingRun {
  std::vector<std::string> data_paths = {"data/data.txt"};  ///< files, folders, patterns: find_files()
  std::vector<std::string> val_data_paths;                  ///< the same; empty: the last part of the data
  std::string tokenizer;          ///< one to use, a file or a folder; empty: learn it, or keep the run's
  std::optional<int> vocab_size;  ///< asked for; without it 5000, or what an existing tokenizer.json has
  bool reset = false;             ///< train the tokenizer and encode the text anew
  double val_fraction = 0.1;      ///< the last part of the data, where val_data_paths is empty

  ModelChoices model;  ///< asked for; a checkpoint or init_from must have them
  TrainerOptions training;

  std::string run_name;    ///< empty: artifacts in the working folder; else in checkpoints/NAME/
  std::string checkpoint;  ///< a checkpoint to continue from, or empty
  std::string init_from;   ///< a Hugging Face folder with the model and tokenizer to start from, or empty
  bool resume = false;     ///< continue exactly from the newest checkpoint of the run, if there is one

  /// The settings among the flags as "--name=value": kept in metrics.jsonl, for a run that has no checkpoint
  /// yet, and, but for what a checkpoint replaces, with the checkpoints.
  std::vector<std::string> first_flags, flags;
  std::vector<std::string> saved_flags;  ///< what the run that is continued has saved, as it is in its file
  std::string inherited_flags;           ///< the settings taken from it, to be shown
  std::string refused_flags;             ///< what was not taken from it, to be reported; or empty

  std::string command;  ///< what was typed to start it, for the report; or empty

  std::string tensorboard;  ///< folder for TensorBoard's event files, or empty
  int64_t log_every = 20;
  int64_t eval_every = 200;
  int64_t eval_batches = 100;
  int64_t checkpoint_every = 0;
  int keep_last = 5;
  int64_t sample_every = 0;
  int64_t sample_tokens = 50;
  std::string sample_prompt;  ///< empty: the beginning of the text

  std::string device = "auto";
  int threads = 0;
};

/// Trains as asked. Returns the exit status: 0 when all steps are done and saved, 128 + the number of a
/// signal that ended it earlier, saved too; everything else is an Error.
int run_training(const TrainingRun& run);

}  // namespace hipgpt
