#include "data_loader.h"

#include <fmt/format.h>

#include "error.h"
#include "philox.h"
#include "util/number_text.h"
#include "util/parameter.h"

namespace hipgpt {

DataSplit split_tokens(size_t token_count, double val_fraction, int seq_len) {
  if (!(val_fraction >= 0.0 && val_fraction < 1.0)) {  // written this way, it catches NaN
    throw Error(fmt::format("{} {}: must be at least 0 (no validation) and below 1", Parameter::kValFraction,
                            val_fraction));
  }
  if (seq_len < 1) throw Error(fmt::format("{} {}: must be at least 1", Parameter::kMaxSeqLen, seq_len));
  const size_t needed = static_cast<size_t>(seq_len) + 1;
  const size_t val_count = static_cast<size_t>(static_cast<double>(token_count) * val_fraction);
  const size_t train_count = token_count - val_count;
  if (train_count < needed) {
    throw Error(
        fmt::format("text has {0}, of which {1} for training; {2} {3} needs at least {4}: use a longer "
                    "text or a smaller {2}",
                    counted(token_count, "token"), train_count, Parameter::kMaxSeqLen, seq_len, needed));
  }
  if (val_fraction > 0.0 && val_count < needed) {
    throw Error(
        fmt::format("text has {0}, of which {1} for validation; {2} {3} needs at least {4}: use a "
                    "longer text, a smaller {2}, or a {5} above {6} (0: no validation)",
                    counted(token_count, "token"), val_count, Parameter::kMaxSeqLen, seq_len, needed,
                    Parameter::kValFraction, val_fraction));
  }
  return {0, train_count, train_count, token_count};
}

DataLoader::DataLoader(const TokenShards& tokens, size_t begin, size_t end, int batch_size, int seq_len,
                       uint64_t seed)
    : tokens_(tokens),
      begin_(begin),
      end_(end),
      batch_size_(static_cast<size_t>(batch_size)),
      seq_len_(static_cast<size_t>(seq_len)),
      seed_(seed) {
  if (batch_size < 1) throw Error(fmt::format("{} {}: must be at least 1", Parameter::kBatch, batch_size));
  if (seq_len < 1) throw Error(fmt::format("{} {}: must be at least 1", Parameter::kMaxSeqLen, seq_len));
  if (begin > end || end > tokens.size()) {
    throw Error(fmt::format("{}: has {}; the range from {} to {} is outside them", tokens.name(),
                            counted(tokens.size(), "token"), begin, end));
  }
  if (end - begin < seq_len_ + 1) {
    throw Error(fmt::format(
        "{0}: has {1}, and {2} {3} needs at least {4}; use a longer text or a "
        "smaller {2}",
        tokens.name(), counted(end - begin, "token"), Parameter::kMaxSeqLen, seq_len, seq_len_ + 1));
  }
}

void DataLoader::random_batch(uint64_t k, int32_t* inputs, int32_t* targets, uint32_t first_row) const {
  const uint64_t num_starts =
      end_ - begin_ - seq_len_;  // the last start still has a target for its last input
  for (size_t row = 0; row < batch_size_; ++row) {
    const auto bits =
        philox4x32({static_cast<uint32_t>(k), static_cast<uint32_t>(k >> 32),
                    first_row + static_cast<uint32_t>(row), static_cast<uint32_t>(RandomUse::kBatches)},
                   philox_key(seed_));
    const size_t start = begin_ + uniform_integer(join_bits(bits[0], bits[1]), num_starts);
    fill_row(start, static_cast<int>(row), inputs, targets);
  }
}

size_t DataLoader::num_windows() const {
  return (end_ - begin_ - 1) / seq_len_;
}

void DataLoader::window(size_t w, int row, int32_t* inputs, int32_t* targets) const {
  if (w >= num_windows() || row < 0 || row >= batch_size()) {
    throw Error(fmt::format("{}: window {} of {} or row {} of {} is out of range", tokens_.name(), w,
                            num_windows(), row, batch_size()));
  }
  fill_row(begin_ + w * seq_len_, row, inputs, targets);
}

void DataLoader::fill_row(size_t start, int row, int32_t* inputs, int32_t* targets) const {
  const size_t at = static_cast<size_t>(row) * seq_len_;
  tokens_.copy(start, seq_len_, inputs + at);
  tokens_.copy(start + 1, seq_len_, targets + at);
}

}  // namespace hipgpt
