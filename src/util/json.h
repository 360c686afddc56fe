// Reading JSON that anyone may have written: one parser and one set of limits for every file.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

namespace hipgpt {

/// The library copies, compares and prints a value by functions that call themselves once for each level of
/// nesting, so a deep text would exhaust the stack. Files that HipGPT reads have four levels.
inline constexpr int kDeepestJson = 32;

/// In bytes; the limit that the safetensors format sets for its own header. A value takes up to forty times
/// as much.
inline constexpr size_t kLargestJson = 100'000'000;

/// The value of a JSON text (RFC 8259). Error if it is not JSON or exceeds a limit. The message says what is
/// wrong with the text, and the caller puts the file's name before it.
nlohmann::json parse_json(std::string_view text);

/// The same, and no object may have a key twice: of two such entries one reader takes the first and another
/// the last.
nlohmann::json parse_json_with_unique_keys(std::string_view text);

/// Nothing instead of an Error, for a line of many that may be damaged.
std::optional<nlohmann::json> try_parse_json(std::string_view text);

}  // namespace hipgpt
