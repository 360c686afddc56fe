// How a token's bytes are spelled in vocabulary files: GPT-2 gives each byte a printable character.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hipgpt {

/// The bytes 0..255 in the order of their characters' code points. Ids of single bytes follow it.
const std::array<uint8_t, 256>& bytes_in_alphabet_order();

/// The spelling of `bytes`: " the" is "Ġthe".
std::string spell_bytes(std::string_view bytes);

/// The inverse; nothing when a character of `spelling` (UTF-8) stands for no byte.
std::optional<std::string> unspell_bytes(std::string_view spelling);

}  // namespace hipgpt
