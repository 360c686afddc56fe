// Fuzzes decoding: any ids through a tokenizer, and their bytes through the stream that generate prints. An
// id outside the vocabulary is an Error. Otherwise the printed text is UTF-8, however it is split.
#include <cstring>
#include <vector>

#include "fuzz_target.h"
#include "tokenizer.h"
#include "tokenizer/pretokenizer.h"
#include "util/utf8_stream.h"

namespace hipgpt::fuzz {
namespace {

const Tokenizer& tokenizer() {
  static const Tokenizer learned = [] {
    std::string text;
    for (int i = 0; i < 40; ++i) text += "\u4e16\u754c \u00e9t\u00e9 \U0001F600 na\u00efve the king ";
    return Tokenizer::train(text,
                            {.vocab_size = 300, .special_tokens = {"<|end|>"}, .threads = 1, .progress = {}});
  }();
  return learned;
}

/// The first byte selects how ids are read: as raw values of four bytes each, or limited to the vocabulary
/// and one id on either side of it.
std::vector<int32_t> ids_of(std::string_view bytes) {
  std::vector<int32_t> ids;
  if (bytes.empty()) return ids;
  const bool any = bytes.front() & 1;
  bytes.remove_prefix(1);
  const size_t width = any ? sizeof(int32_t) : sizeof(uint16_t);
  for (; bytes.size() >= width; bytes.remove_prefix(width)) {
    uint32_t value = 0;
    std::memcpy(&value, bytes.data(), width);
    ids.push_back(any ? static_cast<int32_t>(value)
                      : static_cast<int32_t>(value % (tokenizer().vocab_size() + 2)) - 1);
  }
  return ids;
}

/// Returns what Utf8Stream prints for the tokens, pushed one at a time.
std::string printed(const std::vector<int32_t>& ids) {
  Utf8Stream stream;
  std::string text;
  for (const int32_t id : ids) text += stream.push(tokenizer().token_bytes(id));
  return text + stream.finish();
}

/// Uses the pre-tokenizer's UTF-8 decoder, which treats a malformed byte as a character of one byte. A U+FFFD
/// in the text is valid.
bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const Character character = character_at(text, i);
    if (character.size == 1 && static_cast<unsigned char>(text[i]) >= 0x80) return false;
    i += character.size;
  }
  return true;
}

}  // namespace
}  // namespace hipgpt::fuzz

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hipgpt::fuzz;
  const auto ids = ids_of(as_text(data, size));
  bool in_range = true;
  for (const int32_t id : ids) in_range &= id >= 0 && id < tokenizer().vocab_size();
  std::string text;
  require(succeeds([&] { text = tokenizer().decode(ids); }) == in_range,
          "exactly the ids of the vocabulary have a text");
  if (!in_range) return 0;

  hipgpt::Utf8Stream stream;
  const std::string at_once = stream.push(text) + stream.finish();
  require(printed(ids) == at_once, "the printed text does not depend on the pieces");
  require(is_utf8(at_once), "the printed text is UTF-8");
  if (is_utf8(text)) require(at_once == text, "UTF-8 is printed unchanged");
  require(tokenizer().decode(tokenizer().encode(text)) == text, "the text can be encoded again");
  return 0;
}
