// Unicode's normalization forms, as Hugging Face's `tokenizers` applies them to a text before it is encoded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hipgpt {

enum class Normalization : uint8_t { kNone, kNfc, kNfkc };

/// Returns `text` in this form: `text` itself if it has the form, else `storage`, which is overwritten. A
/// byte that is not part of well-formed UTF-8 stays, and separates the text on its two sides.
std::string_view normalized(Normalization form, std::string_view text, std::string& storage);

/// Returns whether the neighbouring characters that start at `left` and `right` stay as they are whatever
/// surrounds them, and do not interact: the text may be cut between them and each part normalized by itself.
bool normalizes_apart(Normalization form, std::string_view text, size_t left, size_t right);

}  // namespace hipgpt
