// Spells a token's bytes as vocabulary files do: GPT-2 maps each byte to a printable character.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hipgpt {

/// Returns the bytes 0..255 sorted by the code points of their characters. The ids of single bytes follow
/// this order.
const std::array<uint8_t, 256>& bytes_in_alphabet_order();

/// Returns the spelling of `bytes`: " the" becomes "Ġthe".
std::string spell_bytes(std::string_view bytes);

/// Inverts spell_bytes(). Returns nullopt if a character of `spelling` (UTF-8) does not stand for a byte.
std::optional<std::string> unspell_bytes(std::string_view spelling);

}  // namespace hipgpt
