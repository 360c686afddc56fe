// A whole training run: from texts to a checkpoint, with all output for the user along the way.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model_config.h"
#include "run_flags.h"
#include "trainer.h"

namespace hipgpt {

struct TrainingRun {
  std::vector<std::string> data_paths = {"data/data.txt"};  ///< files, folders, patterns: find_files()
  std::vector<std::string> val_data_paths;                  ///< the same; empty: the last part of the data
  std::string tokens;             ///< "u16" or "u32": both kinds of paths name such ids, without a header
  std::string tokenizer;          ///< a file or folder to use; empty: learn one, or keep the run's
  std::optional<int> vocab_size;  ///< requested size; if none, that of an existing tokenizer.json, or 5000
  bool reset = false;             ///< retrain the tokenizer and encode the text again
  double val_fraction = 0.1;      ///< the last part of the data, if val_data_paths is empty

  ModelChoices model;  ///< requested choices; a checkpoint or init_from must match them
  TrainerOptions training;

  std::string run_name;    ///< empty: artifacts in the working folder; else in checkpoints/NAME/
  std::string checkpoint;  ///< a checkpoint to continue from, or empty
  std::string init_from;   ///< a Hugging Face folder with the model and tokenizer to start from, or empty
  bool resume = false;     ///< continue exactly from the newest checkpoint of the run, if there is one

  /// The settings among the flags. `first_flags` go to metrics.jsonl, for a run that has no checkpoint yet.
  /// `flags` go with the checkpoints and leave out what a checkpoint replaces.
  RunFlags first_flags, flags;
  RunFlags saved_flags;            ///< the flags in the file of the run that is continued
  std::vector<std::string> notes;  ///< what was taken from that file and what was not, to be printed

  std::string command;  ///< the command line that started the run, for the report; or empty

  int64_t profile_steps = 0;  ///< after the first step, time every operation of this many; 0: none

  std::string tensorboard;  ///< folder for TensorBoard's event files, or empty
  int64_t log_every = 20;
  int64_t eval_every = 200;
  int64_t eval_batches = 100;
  std::optional<int64_t> checkpoint_every;  ///< in steps, 0: only at the end; none: by time
  double checkpoint_seconds = 600;          ///< the time between checkpoints without checkpoint_every
  int keep_last = 5;
  bool keep_best = false;  ///< keep the checkpoint of the lowest validation loss under a name of its own
  int64_t patience = 0;    ///< validations without a new lowest loss before the run stops; 0: never stops
  int64_t sample_every = 0;
  int64_t sample_tokens = 50;
  std::string sample_prompt;  ///< empty: the beginning of the text

  std::string device = "auto";
  std::string dtype = "auto";  ///< see choose_dtype()
  int threads = 0;
  int gpus = 1;  ///< processes on this machine; started by the program, not by run_training()
};

/// Trains as requested. Returns the exit status: 0 if all steps are done and saved, or 128 + the signal
/// number if a signal stopped the run early, which also saves it. Throws Error for everything else.
int run_training(const TrainingRun& run);

}  // namespace hipgpt
