#include "training/prepare_data.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>

#include "data_loader.h"
#include "error.h"

namespace hipgpt {

namespace fs = std::filesystem;

namespace {

constexpr int kDefaultVocabSize = 5000;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

MappedFile open_text(const std::string& path) {
  if (!fs::exists(path)) {
    throw Error(fmt::format("--data-path {}: no such file (./scripts/download_data.sh gets a text)", path));
  }
  MappedFile file(path, MappedFile::Access::kSequential);
  if (file.text().empty()) throw Error(fmt::format("--data-path {}: is empty; training needs text", path));
  return file;
}

}  // namespace

PreparedData::PreparedData(const TrainingRun& run, const std::optional<SavedTraining>& saved,
                           const RunFolder& folder, ProgressLine& progress)
    : run_(run),
      folder_(folder),
      progress_(progress),
      text_(open_text(run.data_path)),
      text_hash_(text_hash(text_.text())),
      tokenizer_path_(folder.tokenizer()),
      existing_tokens_(open_tokens()) {
  if (saved) {
    take_tokenizer_of(*saved);
  } else if (!keep_existing_tokenizer()) {
    train_tokenizer();
  }
}

void PreparedData::take_tokenizer_of(const SavedTraining& saved) {
  tokenizer_path_ = saved.tokenizer_path;
  tokenizer_ = saved.tokenizer;
  if (run_.vocab_size && *run_.vocab_size != tokenizer_->vocab_size()) {
    throw Error(
        fmt::format("--vocab-size {}: the checkpoint goes with {}, which has {} tokens; leave the flag away",
                    *run_.vocab_size, tokenizer_path_, tokenizer_->vocab_size()));
  }
  std::error_code ignored;
  unsaved_ = !fs::equivalent(tokenizer_path_, folder_.tokenizer(), ignored);
  progress_.print(
      fmt::format("tokenizer  {}: {} tokens", tokenizer_path_, grouped(tokenizer_->vocab_size())));
}

bool PreparedData::keep_existing_tokenizer() {
  if (run_.reset || !fs::exists(tokenizer_path_)) return false;
  try {
    tokenizer_ = Tokenizer::load(tokenizer_path_);
  } catch (const Error& error) {
    throw Error(fmt::format("{} (--reset trains a new one)", error.what()));
  }
  if (run_.vocab_size && *run_.vocab_size != tokenizer_->vocab_size()) return false;
  if (existing_tokens_ && !existing_tokens_->matches(tokenizer_->hash(), text_hash_)) return false;
  progress_.print(fmt::format("tokenizer  {}: {} tokens (kept; --reset trains a new one)", tokenizer_path_,
                              grouped(tokenizer_->vocab_size())));
  return true;
}

void PreparedData::train_tokenizer() {
  const auto start = Clock::now();
  Tokenizer::TrainOptions options;
  options.vocab_size = run_.vocab_size.value_or(kDefaultVocabSize);
  options.threads = run_.threads;
  // The separator of documents becomes a token of its own where a text uses it.
  if (text_.text().find(kEndOfText) != std::string_view::npos) {
    options.special_tokens = {std::string(kEndOfText)};
    if (options.vocab_size < 257) {
      throw Error(fmt::format("--vocab-size {}: the text has {}, so at least 257 are needed",
                              options.vocab_size, kEndOfText));
    }
  }
  options.progress = [&](std::string_view stage, double fraction) {
    progress_.show(fmt::format("tokenizer: {} {:3.0f} %", stage, 100.0 * fraction));
  };
  tokenizer_ = Tokenizer::train(text_.text(), options);
  unsaved_ = true;
  progress_.print(fmt::format("tokenizer  {} tokens learned from {} in {:.1f} s",
                              grouped(tokenizer_->vocab_size()), run_.data_path, seconds_since(start)));
}

/// tokens.bin if it is there and sound; a damaged one is said and made again, for it can be.
std::optional<TokenFile> PreparedData::open_tokens() const {
  if (run_.reset || !fs::exists(folder_.tokens())) return std::nullopt;
  try {
    return TokenFile::open(folder_.tokens());
  } catch (const Error& error) {
    progress_.print(fmt::format("{}: making it again", error.what()));
    return std::nullopt;
  }
}

TokenFile PreparedData::tokens(int seq_len) {
  if (!existing_tokens_ || !existing_tokens_->matches(tokenizer_->hash(), text_hash_)) {
    write_tokens(seq_len);
    return TokenFile::open(folder_.tokens());
  }
  progress_.print(fmt::format("tokens     {}: {} tokens", folder_.tokens(),
                              grouped(static_cast<long long>(existing_tokens_->size()))));
  return *existing_tokens_;
}

void PreparedData::write_tokens(int seq_len) {
  const auto start = Clock::now();
  const size_t bytes = text_.text().size();
  TokenFileWriter writer(folder_.tokens(), static_cast<uint64_t>(tokenizer_->vocab_size()),
                         tokenizer_->hash(), text_hash_, bytes);
  size_t count = 0;
  tokenizer_->encode(
      text_.text(), run_.threads,
      [&](std::span<const int32_t> ids) {
        writer.append(ids);
        count += ids.size();
      },
      [&](double fraction) { progress_.show(fmt::format("tokens: {:3.0f} %", 100.0 * fraction)); });
  split_tokens(count, run_.val_fraction, seq_len);  // an Error if there are too few
  writer.commit();
  progress_.print(fmt::format("tokens     {}: {} tokens, {:.2f} bytes each, in {:.1f} s", folder_.tokens(),
                              grouped(static_cast<long long>(count)),
                              static_cast<double>(bytes) / static_cast<double>(count), seconds_since(start)));
}

}  // namespace hipgpt
