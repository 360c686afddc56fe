#include "training/prepare_data.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <optional>

#include "error.h"
#include "util/atomic_file.h"
#include "util/mapped_file.h"

namespace hipgpt {

namespace {

constexpr int kDefaultVocabSize = 5000;
constexpr std::string_view kEndOfText = "<|endoftext|>";

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// A text as its file and as its hash.
struct Text {
  MappedFile file;
  uint64_t hash;

  explicit Text(const std::string& path)
      : file(path, MappedFile::Access::kSequential), hash(text_hash(file.text())) {
    if (file.text().empty()) throw Error(path + ": is empty; training needs text");
  }
};

/// tokens.bin if it is there and sound; a damaged one is said and made again, for it can be.
std::optional<TokenFile> open_tokens(const std::string& path, ProgressLine& progress) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  try {
    return TokenFile::open(path);
  } catch (const Error& error) {
    progress.print(fmt::format("{}; making it again", error.what()));
    return std::nullopt;
  }
}

Tokenizer train_tokenizer(const TrainingRun& run, const Text& text, const std::string& path,
                          ProgressLine& progress) {
  const auto start = Clock::now();
  Tokenizer::TrainOptions options;
  options.vocab_size = run.vocab_size.value_or(kDefaultVocabSize);
  options.threads = run.threads;
  // The separator of documents becomes a token of its own where a text uses it.
  if (text.file.text().find(kEndOfText) != std::string_view::npos)
    options.special_tokens = {std::string(kEndOfText)};
  options.progress = [&](std::string_view stage, double fraction) {
    progress.show(fmt::format("tokenizer: {} {:3.0f} %", stage, 100.0 * fraction));
  };
  Tokenizer tokenizer = Tokenizer::train(text.file.text(), options);
  write_file_atomically(path, tokenizer.to_json());
  progress.print(fmt::format("tokenizer  {}: {} tokens learned from {} in {:.1f} s", path,
                             grouped(tokenizer.vocab_size()), run.data_path, seconds_since(start)));
  return tokenizer;
}

void write_tokens(const TrainingRun& run, const Text& text, const Tokenizer& tokenizer,
                  const std::string& path, ProgressLine& progress) {
  const auto start = Clock::now();
  const std::string_view bytes = text.file.text();
  TokenFileWriter writer(path, static_cast<uint64_t>(tokenizer.vocab_size()), tokenizer.hash(), text.hash,
                         bytes.size());
  size_t count = 0;
  tokenizer.encode(
      bytes, run.threads,
      [&](std::span<const int32_t> ids) {
        writer.append(ids);
        count += ids.size();
      },
      [&](double fraction) { progress.show(fmt::format("tokens: {:3.0f} %", 100.0 * fraction)); });
  writer.commit();
  progress.print(
      fmt::format("tokens     {}: {} tokens, {:.2f} bytes each, in {:.1f} s", path,
                  grouped(static_cast<long long>(count)),
                  static_cast<double>(bytes.size()) / static_cast<double>(std::max<size_t>(count, 1)),
                  seconds_since(start)));
}

/// Whether an existing tokenizer.json is to be used; see prepare_data.
bool keeps_tokenizer(const TrainingRun& run, const Tokenizer& existing,
                     const std::optional<TokenFile>& tokens, const Text& text) {
  if (!run.checkpoint.empty()) return true;
  if (run.reset || (run.vocab_size && *run.vocab_size != existing.vocab_size())) return false;
  return !tokens || tokens->matches(existing.hash(), text.hash);
}

}  // namespace

PreparedData prepare_data(const TrainingRun& run, const RunFolder& folder, ProgressLine& progress) {
  const Text text(run.data_path);
  std::optional<Tokenizer> tokenizer;
  std::optional<TokenFile> tokens;
  if (!run.reset || !run.checkpoint.empty()) {
    tokens = open_tokens(folder.tokens(), progress);
    if (std::filesystem::exists(folder.tokenizer())) {
      Tokenizer existing = Tokenizer::load(folder.tokenizer());
      if (keeps_tokenizer(run, existing, tokens, text)) tokenizer = std::move(existing);
    }
  }
  if (tokenizer) {
    progress.print(fmt::format("tokenizer  {}: {} tokens (kept; --reset trains a new one)",
                               folder.tokenizer(), grouped(tokenizer->vocab_size())));
  } else {
    tokenizer = train_tokenizer(run, text, folder.tokenizer(), progress);
  }
  if (!tokens || !tokens->matches(tokenizer->hash(), text.hash)) {
    write_tokens(run, text, *tokenizer, folder.tokens(), progress);
    tokens = TokenFile::open(folder.tokens());
  } else {
    progress.print(fmt::format("tokens     {}: {} tokens", folder.tokens(),
                               grouped(static_cast<long long>(tokens->size()))));
  }
  return {std::move(*tokenizer), std::move(*tokens)};
}

}  // namespace hipgpt
