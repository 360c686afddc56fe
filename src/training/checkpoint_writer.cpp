#include "training/checkpoint_writer.h"

#include <utility>

#include "util/atomic_file.h"

namespace hipgpt {

CheckpointWriter::CheckpointWriter(const RunFolder& folder, Device& device, const ModelConfig& config,
                                   Run run)
    : folder_(folder),
      run_(std::move(run)),
      snapshot_{{device, config}, {device, config}, {device, config}, {}} {}

CheckpointWriter::~CheckpointWriter() {
  if (writing_.valid()) writing_.wait();
}

void CheckpointWriter::save(const GPTModel& model, const OptimizerState& optimizer) {
  wait();
  snapshot_.weights.copy_from(model.weights());
  snapshot_.first_moment.copy_from(optimizer.first_moment);
  snapshot_.second_moment.copy_from(optimizer.second_moment);
  snapshot_.info = {model.config(), run_.tokenizer_hash, optimizer.step, run_.roles};
  writing_ = std::async(std::launch::async, [this] { write(); });
}

void CheckpointWriter::wait() {
  if (!writing_.valid()) return;
  writing_.get();
  saved_step_ = snapshot_.info.step;
}

void CheckpointWriter::write() {
  const int64_t step = snapshot_.info.step;
  AtomicFile weights(folder_.checkpoint(step)), optimizer(optimizer_path(folder_.checkpoint(step)));
  const std::string checksum = write_checkpoint(weights, snapshot_.weights, snapshot_.info);
  write_optimizer(optimizer, snapshot_.first_moment, snapshot_.second_moment,
                  {step, checksum, run_.data_hash, run_.flags});
  for (AtomicFile* file : {&weights, &optimizer}) {
    file->finish();
    SafetensorsFile::open(file->temporary());  // throws Error if the file differs from what was written
  }
  if (run_.keep_previous) folder_.keep_previous(!run_.tokenizer_json.empty());
  run_.keep_previous = false;  // until the new checkpoint is complete
  optimizer.commit();
  if (!run_.tokenizer_json.empty()) write_file_atomically(folder_.tokenizer(), run_.tokenizer_json);
  weights.commit();
  folder_.on_checkpoint_written(step, run_.keep_last);
  run_.tokenizer_json.clear();
  run_.keep_previous = true;
}

}  // namespace hipgpt
