// Fuzzes tokenizer.json. The result is an Error, or a tokenizer that loses no byte and comes back unchanged
// from its own file. A zero byte, which JSON never contains, splits the input into the two files of GPT-2.
#include <optional>

#include "fuzz_target.h"
#include "tokenizer.h"

namespace hipgpt::fuzz {
namespace {

Tokenizer read(std::string_view bytes) {
  const size_t zero = bytes.find('\0');
  if (zero == std::string_view::npos) return Tokenizer::from_json(bytes, "tokenizer.json");
  const MemoryFile vocab(bytes.substr(0, zero)), merges(bytes.substr(zero + 1));
  return Tokenizer::from_gpt2_files(vocab.path(), merges.path());
}

/// Returns words short and long enough for both merge algorithms, with every byte among them.
const std::string& sample() {
  static const std::string text = [] {
    std::string bytes = "The king's 12 words,  and more\n\n abcabcab<|endoftext|> ";
    for (int round = 0; round < 3; ++round) bytes += "abracadabraabracadabra";
    for (int byte = 0; byte < 256; ++byte) bytes += static_cast<char>(byte);
    return bytes;
  }();
  return text;
}

void check(const Tokenizer& tokenizer) {
  for (const bool allow_special : {true, false}) {
    const auto ids = tokenizer.encode(sample(), allow_special);
    require(tokenizer.decode(ids) == sample(), "decoding gives the bytes that were encoded");
  }
  const Tokenizer again = Tokenizer::from_json(tokenizer.to_json(), "its own file");
  require(again.hash() == tokenizer.hash(), "a tokenizer comes back from its own file");
}

}  // namespace
}  // namespace hipgpt::fuzz

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hipgpt;
  std::optional<Tokenizer> tokenizer;
  if (fuzz::succeeds([&] { tokenizer = fuzz::read(fuzz::as_text(data, size)); })) fuzz::check(*tokenizer);
  return 0;
}
