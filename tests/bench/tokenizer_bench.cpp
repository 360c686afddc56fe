// Measures the seconds to train and the MB/s to encode.
// Usage: tokenizer_bench TEXT [VOCAB_SIZE | FOLDER]    FOLDER has a vocabulary to encode with; then nothing is trained
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "tokenizer.h"
#include "util/available_cores.h"
#include "util/mapped_file.h"

namespace {

using hipgpt::MappedFile;
using hipgpt::Tokenizer;

double now(int threads) {
  if (threads == 1) return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Returns the median of a few runs, because other programs share the machine. On one thread it is CPU time, which they
/// disturb less.
double median_seconds(int threads, const std::function<void()>& body) {
  std::vector<double> seconds;
  for (int run = 0; run < 5; ++run) {
    const double start = now(threads);
    body();
    seconds.push_back(now(threads) - start);
  }
  std::ranges::sort(seconds);
  return seconds[seconds.size() / 2];
}

Tokenizer train(std::string_view text, int vocab_size, int threads) {
  Tokenizer::TrainOptions options;
  options.vocab_size = vocab_size;
  options.threads = threads;
  const double seconds = median_seconds(threads, [&] { Tokenizer::train(text, options); });
  fmt::print("train {:.4f} s, ", seconds);
  return Tokenizer::train(text, options);
}

void encode(std::string_view text, const Tokenizer& tokenizer, int threads) {
  const double megabytes = static_cast<double>(text.size()) / 1e6;
  size_t tokens = 0;
  const double stream_s = median_seconds(threads, [&] {
    tokens = 0;
    tokenizer.encode(text, threads, [&](auto ids) { tokens += ids.size(); });
  });
  fmt::print("encode {:.1f} MB/s streaming", megabytes / stream_s);
  if (threads == 1) {
    const double encode_s = median_seconds(threads, [&] { tokens = tokenizer.encode(text).size(); });
    fmt::print(", {:.1f} MB/s in one call", megabytes / encode_s);
  }
  fmt::print(", {} tokens\n", tokens);
}

void measure(std::string_view text, const std::string& vocabulary, int threads) {
  const bool is_folder = std::filesystem::is_directory(vocabulary);
  fmt::print("V {}, {} threads: ", vocabulary, threads);
  encode(text, is_folder ? Tokenizer::load(vocabulary) : train(text, std::stoi(vocabulary), threads),
         threads);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) throw std::runtime_error("usage: tokenizer_bench TEXT [VOCAB_SIZE | FOLDER]");
  const MappedFile file(argv[1], MappedFile::Access::kSequential);
  const std::string vocabulary = argc > 2 ? argv[2] : "5000";
  measure(file.text(), vocabulary, 1);
  if (hipgpt::available_cores() > 1) measure(file.text(), vocabulary, hipgpt::available_cores());
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 1;
}
