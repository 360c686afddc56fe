// SavedTraining: the state a run resumes from.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint.h"
#include "run_folder.h"
#include "tokenizer.h"

namespace hipgpt {

/// A checkpoint, its tokenizer, and its optimizer file. All of them have been read and checked.
struct SavedTraining {
  Checkpoint checkpoint;
  std::string tokenizer_path;
  Tokenizer tokenizer;
  std::optional<OptimizerFile> optimizer;  ///< nullopt if there is no such file
};

/// Throws Error if a file is damaged or belongs to another run.
SavedTraining open_saved_training(const std::string& checkpoint);

/// Returns the newest state in a folder that a run can resume from exactly, or nullopt if there is no
/// checkpoint. Skips damaged or incomplete checkpoints and tells `warn` why. Throws Error if all are
/// unusable.
std::optional<SavedTraining> newest_saved_training(const RunFolder& folder,
                                                   const std::function<void(const std::string&)>& warn);

/// The flags that a run saved, and the file that holds them.
struct SavedFlags {
  std::string path;
  RunFlags flags;
};

/// Returns the flags of the run that wrote these checkpoints, from the first readable optimizer file.
SavedFlags saved_flags(const std::vector<std::string>& checkpoints);

}  // namespace hipgpt
