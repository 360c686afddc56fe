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

/// A checkpoint, the tokenizer it was trained with, and the optimizer file that belongs to it. All of it has
/// been read and checked.
struct SavedTraining {
  Checkpoint checkpoint;
  std::string tokenizer_path;
  Tokenizer tokenizer;
  std::optional<OptimizerFile> optimizer;  ///< none: there is no such file
};

/// Error if something is damaged, or of another run.
SavedTraining open_saved_training(const std::string& checkpoint);

/// The newest training in a folder that can be continued exactly; nothing if there is no checkpoint. Newer
/// ones that are damaged or incomplete are skipped, and `warn` is told why. Error if all are.
std::optional<SavedTraining> newest_saved_training(const RunFolder& folder,
                                                   const std::function<void(const std::string&)>& warn);

/// Flags, "--name=value", and the file that they are in.
struct SavedFlags {
  std::string path;
  std::vector<std::string> flags;
};

/// Those of a run that left these checkpoints, as they are in the first optimizer file that can be read.
SavedFlags saved_flags(const std::vector<std::string>& checkpoints);

}  // namespace hipgpt
