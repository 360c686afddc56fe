// Any ids through a tokenizer, and their bytes through the stream that generate prints: an Error for an id
// that is not in the vocabulary, else its text, which is UTF-8 in whatever pieces it comes.
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

/// The first byte chooses: ids as they come, four bytes each, or ids of the vocabulary and its two
/// neighbours.
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

/// What Utf8Stream gives for the tokens, one after the other.
std::string printed(const std::vector<int32_t>& ids) {
  Utf8Stream stream;
  std::string text;
  for (const int32_t id : ids) text += stream.push(tokenizer().token_bytes(id));
  return text + stream.finish();
}

/// By the other decoder of UTF-8 here: it takes a byte of none for a character of its own, and U+FFFD is
/// none.
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
          "ids of the vocabulary have a text, no others");
  if (!in_range) return 0;

  hipgpt::Utf8Stream stream;
  const std::string at_once = stream.push(text) + stream.finish();
  require(printed(ids) == at_once, "what is printed does not depend on the pieces");
  require(is_utf8(at_once), "what is printed is UTF-8");
  if (is_utf8(text)) require(at_once == text, "UTF-8 is printed as it is");
  require(tokenizer().decode(tokenizer().encode(text)) == text, "the text can be encoded again");
  return 0;
}
