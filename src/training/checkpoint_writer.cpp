#include "training/checkpoint_writer.h"

#include <algorithm>
#include <utility>

#include "error.h"
#include "util/atomic_file.h"
#include "util/files.h"

namespace hipgpt {

namespace {

/// The bytes of a checkpoint, with an upper bound for its header.
uint64_t bytes_of_weights(const ModelConfig& config) {
  uint64_t bytes = 4096;  // the metadata
  GPTWeights(config).for_each([&](const std::string&, const Tensor& tensor, bool) {
    bytes += tensor.bytes() + 256;  // its entry in the header
  });
  return bytes;
}

/// Completes a file under its temporary name. Throws Error if it differs from what was written.
void finish_and_check(AtomicFile& file) {
  file.finish();
  SafetensorsFile::open(file.temporary());
}

}  // namespace

CheckpointWriter::CheckpointWriter(const RunFolder& folder, Device& device, const ModelConfig& config,
                                   Run run)
    : folder_(folder),
      run_(std::move(run)),
      weights_bytes_(bytes_of_weights(config)),
      snapshot_{{device, config}, {device, config}, {device, config}, {}} {}

CheckpointWriter::~CheckpointWriter() {
  if (writing_.valid()) writing_.wait();
}

void CheckpointWriter::save(const GPTModel& model, Trainer& trainer, bool is_best) {
  wait();
  snapshot_.weights.copy_from(model.weights().flat());
  trainer.read_moments([&](Moment moment, Tensor values) {
    (moment == Moment::kFirst ? snapshot_.first_moment : snapshot_.second_moment).copy_from(values);
  });
  snapshot_.info = {model.config(), run_.tokenizer_hash, trainer.step(), run_.roles, run_.tokenizer_settings};
  snapshot_.is_best = is_best;
  retry();
}

void CheckpointWriter::wait() {
  if (!writing_.valid()) return;
  writing_.get();
  saved_step_ = snapshot_.info.step;
}

void CheckpointWriter::retry() {
  writing_ = std::async(std::launch::async, [this] { write(true); });
}

bool CheckpointWriter::save_weights_alone() {
  try {
    write(false);
    return true;
  } catch (const Error&) {
    return false;  // the error of the whole save says more
  }
}

uint64_t CheckpointWriter::peak_bytes(int64_t saves) const {
  const int64_t kept = folder_.checkpoints_kept(run_.keep_last) + (run_.keep_best ? 1 : 0);
  const int64_t best = run_.keep_best && file_exists(folder_.best()) ? 1 : 0;
  const int64_t there = std::min(kept, static_cast<int64_t>(folder_.checkpoints().size()) + best);
  return static_cast<uint64_t>(std::min(saves, kept + 1 - there)) * bytes();
}

void CheckpointWriter::write(bool with_optimizer) {
  const int64_t step = snapshot_.info.step;
  const std::string path = folder_.checkpoint(step);
  AtomicFile weights(path);
  std::optional<AtomicFile> optimizer;
  if (with_optimizer) optimizer.emplace(optimizer_path(path));
  const std::string checksum = write_checkpoint(weights, snapshot_.weights, snapshot_.info);
  if (optimizer) {
    write_optimizer(*optimizer, snapshot_.first_moment, snapshot_.second_moment,
                    {step, checksum, run_.data_hash, run_.flags});
  }
  finish_and_check(weights);
  if (optimizer) finish_and_check(*optimizer);
  if (run_.keep_previous) folder_.keep_previous(!run_.tokenizer_json.empty());
  run_.keep_previous = false;  // until the new checkpoint is complete
  if (optimizer) {
    optimizer->commit();
  } else {
    folder_.remove_optimizer(step);  // it belongs to older weights, which now have the previous one's name
  }
  if (!run_.tokenizer_json.empty()) write_file_atomically(folder_.tokenizer(), run_.tokenizer_json);
  weights.commit();
  // Weights alone must not displace a complete checkpoint.
  folder_.on_checkpoint_written(step, run_.keep_last + (with_optimizer ? 0 : 1));
  run_.tokenizer_json.clear();
  run_.keep_previous = with_optimizer;
  if (snapshot_.is_best && with_optimizer) folder_.keep_best(step);
}

}  // namespace hipgpt
