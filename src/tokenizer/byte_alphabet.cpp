#include "tokenizer/byte_alphabet.h"

#include <algorithm>
#include <numeric>

namespace hipgpt {
namespace {

bool spells_itself(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

/// Printable Latin-1 bytes stand for themselves; the others map to U+0100, U+0101, ... in order. So every
/// character is below U+0180 and takes one or two bytes in UTF-8.
struct Alphabet {
  Alphabet() {
    byte_of.fill(-1);
    char32_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      character_of[byte] = spells_itself(byte) ? static_cast<char32_t>(byte) : next++;
      byte_of[character_of[byte]] = static_cast<int16_t>(byte);
    }
    std::iota(ordered.begin(), ordered.end(), uint8_t{0});
    std::ranges::sort(ordered, {}, [this](uint8_t byte) { return character_of[byte]; });
  }

  std::array<char32_t, 256> character_of;
  std::array<int16_t, 0x180> byte_of;
  std::array<uint8_t, 256> ordered;
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

}  // namespace

const std::array<uint8_t, 256>& bytes_in_alphabet_order() {
  return alphabet().ordered;
}

std::string spell_bytes(std::string_view bytes) {
  std::string spelling;
  spelling.reserve(bytes.size() * 2);
  for (const char byte : bytes) {
    const char32_t character = alphabet().character_of[static_cast<uint8_t>(byte)];
    if (character < 0x80) {
      spelling += static_cast<char>(character);
    } else {
      spelling += static_cast<char>(0xC0 | (character >> 6));
      spelling += static_cast<char>(0x80 | (character & 0x3F));
    }
  }
  return spelling;
}

std::optional<std::string> unspell_bytes(std::string_view spelling) {
  std::string bytes;
  bytes.reserve(spelling.size());
  for (size_t i = 0; i < spelling.size(); ++i) {
    char32_t character = static_cast<uint8_t>(spelling[i]);
    if (character >= 0x80) {
      const char32_t second = i + 1 < spelling.size() ? static_cast<uint8_t>(spelling[++i]) : 0;
      if (character < 0xC2 || character > 0xDF || (second & 0xC0) != 0x80) return std::nullopt;
      character = (character & 0x1F) << 6 | (second & 0x3F);
    }
    if (character >= alphabet().byte_of.size() || alphabet().byte_of[character] < 0) return std::nullopt;
    bytes += static_cast<char>(alphabet().byte_of[character]);
  }
  return bytes;
}

}  // namespace hipgpt
