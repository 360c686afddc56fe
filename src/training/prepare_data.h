// From a text file to a tokenizer and its tokens on disk.
#pragma once

#include "run_folder.h"
#include "run_training.h"
#include "token_file.h"
#include "tokenizer.h"
#include "training/progress_line.h"

namespace hipgpt {

struct PreparedData {
  Tokenizer tokenizer;
  TokenFile tokens;
};

/// Makes what is missing or stale of tokenizer.json and tokens.bin, and says what it does.
///
/// tokens.bin remembers the text and the tokenizer it was made from. An existing tokenizer.json is kept if it
/// belongs to this text, if there is no tokens.bin beside it (then somebody put it there), or if a checkpoint
/// is continued; otherwise, with --reset, or when another vocabulary size is asked for, a new one is trained.
PreparedData prepare_data(const TrainingRun& run, const RunFolder& folder, ProgressLine& progress);

}  // namespace hipgpt
