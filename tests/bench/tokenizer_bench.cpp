// Measures the seconds to train and the MB/s to encode. Usage: tokenizer_bench TEXT [VOCAB_SIZE]
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "tokenizer.h"
#include "util/available_cores.h"
#include "util/mapped_file.h"

namespace {

using hipgpt::MappedFile;
using hipgpt::Tokenizer;

/// Returns the median of a few runs, because other programs share the machine.
double median_seconds(const std::function<void()>& body) {
  std::vector<double> seconds;
  for (int run = 0; run < 5; ++run) {
    const auto start = std::chrono::steady_clock::now();
    body();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::ranges::sort(seconds);
  return seconds[seconds.size() / 2];
}

void measure(std::string_view text, int vocab_size, int threads) {
  Tokenizer::TrainOptions options;
  options.vocab_size = vocab_size;
  options.threads = threads;
  const double train_s = median_seconds([&] { Tokenizer::train(text, options); });
  const auto tokenizer = Tokenizer::train(text, options);
  size_t tokens = 0;
  const double stream_s = median_seconds([&] {
    tokens = 0;
    tokenizer.encode(text, threads, [&](auto ids) { tokens += ids.size(); });
  });
  fmt::print("V {}, {} threads: train {:.4f} s, encode {:.1f} MB/s streaming", tokenizer.vocab_size(),
             threads, train_s, static_cast<double>(text.size()) / 1e6 / stream_s);
  if (threads == 1) {
    const double encode_s = median_seconds([&] { tokens = tokenizer.encode(text).size(); });
    fmt::print(", {:.1f} MB/s in one call", static_cast<double>(text.size()) / 1e6 / encode_s);
  }
  fmt::print(", {} tokens\n", tokens);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) throw std::runtime_error("usage: tokenizer_bench TEXT [VOCAB_SIZE]");
  const MappedFile file(argv[1], MappedFile::Access::kSequential);
  const int vocab_size = argc > 2 ? std::stoi(argv[2]) : 5000;
  measure(file.text(), vocab_size, 1);
  if (hipgpt::available_cores() > 1) measure(file.text(), vocab_size, hipgpt::available_cores());
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 1;
}
