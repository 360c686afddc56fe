// Batches of token sequences from token files.
#pragma once

#include <cstddef>
#include <cstdint>

#include "token_shards.h"

namespace hipgpt {

/// The half-open ranges [begin, end) of tokens for training and for validation. The text is cut once, near
/// its end, and is not shuffled. Neighbouring sentences share words, so training would reveal parts of a
/// validation sentence that stood between two training sentences.
struct DataSplit {
  size_t train_begin;
  size_t train_end;
  size_t val_begin;
  size_t val_end;
};

/// Cuts off the last val_fraction of the tokens for validation (0: none). Throws Error unless each part has
/// room for a sequence of seq_len inputs and their targets.
DataSplit split_tokens(size_t token_count, double val_fraction, int seq_len);

/// Fills batches [batch_size, seq_len] of inputs and targets from the tokens [begin, end). The target at each
/// position is the token that follows the input at that position.
class DataLoader {
 public:
  DataLoader(const TokenShards& tokens, size_t begin, size_t end, int batch_size, int seq_len, uint64_t seed);

  int batch_size() const { return static_cast<int>(batch_size_); }
  int seq_len() const { return static_cast<int>(seq_len_); }

  /// Rows first_row to first_row + batch_size - 1 of training batch k. Each row starts at a uniformly random
  /// position, which depends only on k, the row and the seed. So a run that resumes at step k sees the same
  /// batches as an uninterrupted run, and a step takes the same sequences whether it is cut into
  /// micro-batches or not.
  void random_batch(uint64_t k, int32_t* inputs, int32_t* targets, uint32_t first_row = 0) const;

  /// The number of windows for evaluation: consecutive sequences of seq_len tokens, in text order. A
  /// remainder too short for a window is dropped.
  size_t num_windows() const;

  /// Writes window w to one row of a batch.
  void window(size_t w, int row, int32_t* inputs, int32_t* targets) const;

 private:
  void fill_row(size_t start, int row, int32_t* inputs, int32_t* targets) const;

  TokenShards tokens_;  // shares the mappings
  size_t begin_;
  size_t end_;
  size_t batch_size_;
  size_t seq_len_;
  uint64_t seed_;
};

}  // namespace hipgpt
