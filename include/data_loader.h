// Batches of token sequences, out of token files.
#pragma once

#include <cstddef>
#include <cstdint>

#include "token_shards.h"

namespace hipgpt {

/// Which tokens are for training and which for validation: [begin, end) each. The text is cut once, near its
/// end, and not shuffled: neighbouring sentences share words, so a validation sentence from between two
/// training ones would be partly known.
struct DataSplit {
  size_t train_begin;
  size_t train_end;
  size_t val_begin;
  size_t val_end;
};

/// Cuts off the last val_fraction of the tokens for validation (0: none). Each part must have room for a
/// sequence of seq_len inputs and their targets.
DataSplit split_tokens(size_t token_count, double val_fraction, int seq_len);

/// Fills batches [batch_size, seq_len] of inputs and targets from the tokens [begin, end). The target at each
/// place is the token that follows the input there.
class DataLoader {
 public:
  DataLoader(const TokenShards& tokens, size_t begin, size_t end, int batch_size, int seq_len, uint64_t seed);

  int batch_size() const { return static_cast<int>(batch_size_); }
  int seq_len() const { return static_cast<int>(seq_len_); }

  /// Batch k of training: each row starts anywhere, every place as likely as any other. It depends on k and
  /// the seed alone, so a run that resumes at step k sees what an uninterrupted one would have seen.
  void random_batch(uint64_t k, int32_t* inputs, int32_t* targets) const;

  /// For evaluation: windows of seq_len tokens, end to end, in the order of the text. A remainder too short
  /// for a window is left out.
  size_t num_sequential_batches() const;

  /// Batch i of those. Returns its number of rows, which in the last batch may be below batch_size; what lies
  /// after them is not written.
  int sequential_batch(size_t i, int32_t* inputs, int32_t* targets) const;

 private:
  void fill_row(size_t start, int row, int32_t* inputs, int32_t* targets) const;
  size_t num_windows() const;

  TokenShards tokens_;  // shares the mappings
  size_t begin_;
  size_t end_;
  size_t batch_size_;
  size_t seq_len_;
  uint64_t seed_;
};

}  // namespace hipgpt
