#include "util/utf8_stream.h"

#include <cstddef>

namespace hipgpt {

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

struct Sequence {
  size_t length;  // number of bytes that belong together
  enum { kValid, kBroken, kIncomplete } state;
};

/// The character at the start of `s`, by table 3-7 of the Unicode Standard. Only the second byte's range
/// depends on the first byte.
Sequence first_character(std::string_view s) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {1, Sequence::kValid};
  if (lead < 0xC2 || lead > 0xF4) return {1, Sequence::kBroken};
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  unsigned low = 0x80, high = 0xBF;
  if (lead == 0xE0) low = 0xA0;   // shorter forms exist
  if (lead == 0xED) high = 0x9F;  // surrogates
  if (lead == 0xF0) low = 0x90;   // shorter forms exist
  if (lead == 0xF4) high = 0x8F;  // above U+10FFFF
  for (size_t i = 1; i < length; ++i) {
    if (i == s.size()) return {i, Sequence::kIncomplete};
    if (byte(i) < low || byte(i) > high) return {i, Sequence::kBroken};
    low = 0x80;
    high = 0xBF;
  }
  return {length, Sequence::kValid};
}

}  // namespace

std::string Utf8Stream::push(std::string_view bytes) {
  pending_ += bytes;
  std::string out;
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const Sequence s = first_character(rest);
    if (s.state == Sequence::kIncomplete) break;
    out += s.state == Sequence::kValid ? rest.substr(0, s.length) : kReplacement;
    rest.remove_prefix(s.length);
  }
  pending_ = std::string(rest);
  return out;
}

std::string Utf8Stream::finish() {
  const bool cut_short = !pending_.empty();
  pending_.clear();
  return std::string(cut_short ? kReplacement : "");
}

std::string valid_utf8(std::string_view bytes) {
  Utf8Stream stream;
  const std::string text = stream.push(bytes);
  return text + stream.finish();
}

}  // namespace hipgpt
