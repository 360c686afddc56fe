#include "training/saved_training.h"

#include <fmt/format.h>

#include "error.h"
#include "util/parameter.h"

namespace hipgpt {

namespace {

std::optional<OptimizerFile> optimizer_of(const Checkpoint& checkpoint) {
  std::optional<OptimizerFile> other;
  for (const std::string& path : optimizer_candidates(checkpoint.path())) {
    OptimizerFile file = OptimizerFile::open(path);
    if (file.belongs_to(checkpoint)) return file;
    // Weights that were saved alone have no optimizer file of their own.
    if (!other && !is_previous_optimizer(path)) other = std::move(file);
  }
  if (!other) return std::nullopt;
  throw Error(
      fmt::format("{} is from step {}, but {} is from step {} or another run: use files from one save",
                  checkpoint.path(), checkpoint.info().step, other->path(), other->info().step));
}

}  // namespace

SavedTraining open_saved_training(const std::string& path) {
  Checkpoint checkpoint = Checkpoint::open(path);
  const std::string tokenizer_path = tokenizer_beside(path);
  Tokenizer tokenizer = Tokenizer::load(tokenizer_path);
  checkpoint.check_tokenizer(tokenizer.hash(), tokenizer.vocab_size(), tokenizer_path);
  auto optimizer = optimizer_of(checkpoint);
  return {std::move(checkpoint), tokenizer_path, std::move(tokenizer), std::move(optimizer)};
}

std::optional<SavedTraining> newest_saved_training(const RunFolder& folder,
                                                   const std::function<void(const std::string&)>& warn) {
  const auto checkpoints = folder.checkpoints();
  for (const std::string& path : checkpoints) {
    try {
      SavedTraining saved = open_saved_training(path);
      if (saved.optimizer) return saved;
      warn(fmt::format("{}: has no {}, which a resumed run needs", path, optimizer_path(path)));
    } catch (const Error& error) {
      warn(error.what());
    }
  }
  if (checkpoints.empty()) return std::nullopt;
  throw Error(
      fmt::format("{0}: no checkpoint here can be resumed exactly; {1} {2} uses its weights if it is "
                  "intact, and without {0} the run starts over",
                  Parameter::kResume, Parameter::kCheckpoint, checkpoints.front()));
}

SavedFlags saved_flags(const std::vector<std::string>& checkpoints) {
  for (const std::string& checkpoint : checkpoints) {
    for (const std::string& path : optimizer_candidates(checkpoint)) {
      try {
        if (headers_belong_together(path, checkpoint)) return {path, read_flags(path)};
      } catch (const Error&) {  // opening the whole file will report the error
      }
    }
  }
  return {};
}

}  // namespace hipgpt
