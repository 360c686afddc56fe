// Utf8Stream: bytes in, whole characters out.
#pragma once

#include <string>
#include <string_view>

namespace hipgpt {

/// A token can end in the middle of a character, and a terminal must never see half of one. Bytes that can't
/// be part of a character become U+FFFD, one for each maximal broken sequence, as the Unicode Standard
/// recommends.
class Utf8Stream {
 public:
  /// The characters that `bytes` completes.
  std::string push(std::string_view bytes);

  /// The rest at the end: nothing, or U+FFFD for a truncated character.
  std::string finish();

 private:
  std::string pending_;
};

/// Converts a whole text in the same way.
std::string valid_utf8(std::string_view bytes);

}  // namespace hipgpt
