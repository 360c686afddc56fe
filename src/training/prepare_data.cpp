#include "training/prepare_data.h"

#include <fmt/format.h>

#include <bit>
#include <chrono>
#include <filesystem>
#include <memory>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "error.h"
#include "util/files.h"
#include "util/number_text.h"
#include "util/parameter.h"

namespace hipgpt {

namespace fs = std::filesystem;

namespace {

constexpr int kDefaultVocabSize = 5000;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

struct PreparedData::Encoded {
  TokenShards ready;
  std::unique_ptr<TokenFileWriter> writer;  // null if `ready` holds the tokens
  std::string path;
  size_t count = 0;
};

PreparedData::PreparedData(const TrainingRun& run, const std::optional<GivenTokenizer>& given,
                           const RunFolder& folder, Progress& progress)
    : run_(run),
      folder_(folder),
      progress_(progress),
      hashes_(folder.hash_cache()),
      train_(Parameter::kDataPaths, run.data_paths, run.tokens, folder, progress),
      tokenizer_path_(folder.tokenizer()) {
  if (!run.val_data_paths.empty())
    val_.emplace(Parameter::kValDataPaths, run.val_data_paths, run.tokens, folder, progress);
  if (train_.is_text()) existing_tokens_ = open_tokens(folder.tokens());
  if (given) {
    take(*given);
  } else if (!train_.is_text() || (val_ && !val_->is_text())) {
    throw Error(
        fmt::format("{}: {} holds token ids but not their vocabulary; "
                    "name the tokenizer that made it with {}",
                    train_.is_text() ? Parameter::kValDataPaths : Parameter::kDataPaths,
                    (train_.is_text() ? *val_ : train_).name(), Parameter::kTokenizer));
  } else if (!keep_existing_tokenizer()) {
    train_tokenizer();
  }
  check_end_of_text(train_);
  if (val_) check_end_of_text(*val_);
}

void PreparedData::take(const GivenTokenizer& given) {
  tokenizer_path_ = given.path;
  tokenizer_ = given.tokenizer;
  if (run_.vocab_size && *run_.vocab_size != tokenizer_->vocab_size()) {
    throw Error(fmt::format("{0} {1}: the run uses the tokenizer of {2}, which has {3}; drop {0}",
                            Parameter::kVocabSize, *run_.vocab_size, given.path,
                            counted(tokenizer_->vocab_size(), "token")));
  }
  std::error_code ignored;
  unsaved_ = !fs::equivalent(given.path, folder_.tokenizer(), ignored);
  progress_.print(fmt::format(
      "tokenizer  {}: {}{}", given.path, counted(tokenizer_->vocab_size(), "token"),
      tokenizer_->has_template() ? " (its template, which adds tokens to every text, is not used)" : ""));
}

bool PreparedData::keep_existing_tokenizer() {
  if (run_.reset || !file_exists(tokenizer_path_)) return false;
  try {
    tokenizer_ = Tokenizer::load(tokenizer_path_);
  } catch (const Error& error) {
    throw Error(fmt::format("{} ({} trains a new one)", error.what(), Parameter::kReset));
  }
  if (run_.vocab_size && *run_.vocab_size != tokenizer_->vocab_size()) return false;
  if (existing_tokens_ && !matches(*existing_tokens_, train_)) return false;
  progress_.print(fmt::format("tokenizer  {}: {} (kept; {} trains a new one)", tokenizer_path_,
                              counted(tokenizer_->vocab_size(), "token"), Parameter::kReset));
  return true;
}

void PreparedData::train_tokenizer() {
  const auto start = Clock::now();
  Tokenizer::TrainOptions options;
  options.vocab_size = run_.vocab_size.value_or(kDefaultVocabSize);
  options.threads = run_.threads;
  train_.hash(hashes_);  // reads the text, which the next line needs too
  if (train_.needs_end_of_text()) {
    options.special_tokens = {std::string(kEndOfText)};
    if (options.vocab_size < 257) {
      throw Error(fmt::format("{} {}: must be at least 257 because the text contains {}",
                              Parameter::kVocabSize, options.vocab_size, kEndOfText));
    }
  }
  options.progress = [&](std::string_view stage, double fraction) {
    progress_.show(fmt::format("tokenizer: {} {:3.0f} %", stage, 100.0 * fraction));
  };
  tokenizer_ = Tokenizer::train(train_.text(), options);
  unsaved_ = true;
  progress_.print(fmt::format("tokenizer  {} learned from {} in {:.1f} s",
                              counted(tokenizer_->vocab_size(), "token"), train_.name(),
                              seconds_since(start)));
}

void PreparedData::check_end_of_text(DataSource& source) const {
  if (!source.is_text() || source.text().num_documents() == 1 || tokenizer_->special_token(kEndOfText))
    return;
  throw Error(fmt::format("{}: has no {} to separate the documents of {}; use another {}, or {} to train one",
                          tokenizer_path_, kEndOfText, source.name(), Parameter::kTokenizer,
                          Parameter::kReset));
}

/// Opens a token file if it exists and is intact. A damaged file is reported and later rebuilt. A large file
/// is checked completely once, and again only after it changes.
std::optional<TokenFile> PreparedData::open_tokens(const std::string& path) {
  if (run_.reset || !file_exists(path)) return std::nullopt;
  try {
    const FileStamp stamp({path});
    if (const auto checksum = hashes_.get(stamp)) {
      TokenFile file = TokenFile::open(path, TokenFile::Check::kHeader);
      if (file.header_checksum() == *checksum) return file;
    }
    TokenFile file = TokenFile::open(path);
    hashes_.put(stamp, file.header_checksum());
    return file;
  } catch (const Error& error) {
    progress_.print(fmt::format("{}: rebuilding it", error.what()));
    return std::nullopt;
  }
}

/// Returns whether these are the tokens of this source under this run's tokenizer.
bool PreparedData::matches(const TokenFile& tokens, DataSource& source) {
  return tokens.matches(tokenizer_->hash(), static_cast<uint64_t>(tokenizer_->vocab_size()),
                        source.hash(hashes_));
}

TrainingTokens PreparedData::tokens(int seq_len) {
  Encoded train = encode(train_, folder_.tokens(), existing_tokens_);
  const DataSplit split = split_tokens(train.count, val_ ? 0.0 : run_.val_fraction, seq_len);
  TrainingTokens result;
  if (val_) {
    Encoded val = encode(*val_, folder_.val_tokens(),
                         val_->is_text() ? open_tokens(folder_.val_tokens()) : std::nullopt);
    const size_t count = val.count;
    if (count <= static_cast<size_t>(seq_len)) {
      throw Error(fmt::format("{0} has {1}; {2} {3} needs at least {4}: use a longer text or a smaller {2}",
                              Parameter::kValDataPaths, counted(count, "token"), Parameter::kMaxSeqLen,
                              seq_len, seq_len + 1));
    }
    result.val = {put_in_place(std::move(val)), 0, count};
  }
  result.train = {put_in_place(std::move(train)), split.train_begin, split.train_end};
  if (!val_ && run_.val_fraction > 0.0) result.val = {result.train.tokens, split.val_begin, split.val_end};
  hashes_.save();
  return result;
}

PreparedData::Encoded PreparedData::encode(DataSource& source, const std::string& path,
                                           std::optional<TokenFile> existing) {
  const auto vocab_size = static_cast<uint64_t>(tokenizer_->vocab_size());
  Encoded result;
  result.path = path;
  if (!source.is_text()) result.ready = source.shards(vocab_size);
  if (existing && matches(*existing, source)) result.ready = std::move(*existing);
  result.count = result.ready.size();
  if (!source.is_text() || result.count > 0) {
    progress_.print(fmt::format("tokens     {}: {}", source.is_text() ? path : source.name(),
                                counted(result.count, "token")));
    return result;
  }
  const auto start = Clock::now();
  const uint64_t bytes = source.text().bytes();
  result.writer =
      std::make_unique<TokenFileWriter>(path, vocab_size, tokenizer_->hash(), source.hash(hashes_), bytes);
  tokenizer_->encode(
      source.text(), run_.threads,
      [&](std::span<const int32_t> ids) {
        result.writer->append(ids);
        result.count += ids.size();
      },
      [&](double fraction) { progress_.show(fmt::format("tokens: {:3.0f} %", 100.0 * fraction)); });
  progress_.print(
      fmt::format("tokens     {}: {}, {:.2f} bytes each, in {:.1f} s", path, counted(result.count, "token"),
                  static_cast<double>(bytes) / static_cast<double>(result.count), seconds_since(start)));
  return result;
}

TokenShards PreparedData::put_in_place(Encoded encoded) const {
  if (!encoded.writer) return encoded.ready;
  encoded.writer->commit();
  // The writer has already checked the tokens.
  return TokenFile::open(encoded.path, TokenFile::Check::kHeader);
}

uint64_t PreparedData::data_hash() {
  const uint64_t parts[] = {train_.hash(hashes_), val_ ? val_->hash(hashes_) : 0,
                            val_ ? 0 : std::bit_cast<uint64_t>(run_.val_fraction)};
  return XXH3_64bits(parts, sizeof parts);
}

}  // namespace hipgpt
