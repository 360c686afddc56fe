// Fuzzes encoding: any bytes through a learned tokenizer. Nothing is lost. The ids are the same for the whole
// text, streamed, on two threads, and in two parts at any safe cut.
#include <numeric>

#include "fuzz_target.h"
#include "tokenizer.h"
#include "tokenizer/pretokenizer.h"
#include "tokenizer/special_tokens.h"

namespace hipgpt::fuzz {
namespace {

using Ids = std::vector<int32_t>;

constexpr const char* kSpecial = "<|endoftext|>";

const Tokenizer& tokenizer() {
  static const Tokenizer learned = [] {
    std::string text;
    for (int i = 0; i < 40; ++i)
      text += "the king's men don't sleep;  they'll eat 42 \u00e9clairs, \u4e16\u754c\n\n";
    return Tokenizer::train(text,
                            {.vocab_size = 320, .special_tokens = {kSpecial}, .threads = 1, .progress = {}});
  }();
  return learned;
}

Ids streamed(std::string_view text, int threads) {
  Ids all;
  tokenizer().encode(text, threads,
                     [&](std::span<const int32_t> ids) { all.insert(all.end(), ids.begin(), ids.end()); });
  return all;
}

/// Checks up to sixteen cuts.
void check_cuts(std::string_view text, const Ids& whole) {
  static const SpecialTokens specials({{kSpecial, 0}});
  const size_t stride = text.size() / 16 + 1;
  for (size_t cut = next_safe_cut(text, 0); cut < text.size(); cut = next_safe_cut(text, cut + stride)) {
    if (specials.straddles(text, cut)) continue;
    Ids parts = tokenizer().encode(text.substr(0, cut));
    const Ids second = tokenizer().encode(text.substr(cut));
    parts.insert(parts.end(), second.begin(), second.end());
    require(parts == whole, "two parts have the ids of the whole");
    if (text.size() - cut <= stride) break;
  }
}

}  // namespace
}  // namespace hipgpt::fuzz

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hipgpt::fuzz;
  std::string text(as_text(data, size));
  // Streaming works in pieces of half a megabyte. Two pieces take long, so only one input in 256 is that
  // long.
  const bool is_long = !text.empty() && std::accumulate(text.begin(), text.end(), 0) % 256 == 0;
  while (is_long && text.size() < (size_t{5} << 17)) text += text;
  const Ids ids = tokenizer().encode(text);
  require(tokenizer().decode(ids) == text, "decoding gives the bytes that were encoded");
  require(tokenizer().decode(tokenizer().encode(text, false)) == text,
          "decoding also works without special tokens");
  for (const int threads : {1, 2})
    require(streamed(text, threads) == ids, "streaming gives the ids of the whole");
  if (!is_long) check_cuts(text, ids);
  return 0;
}
