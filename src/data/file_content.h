// What the bytes of a file show about its content, for files that are named as texts by mistake.
#pragma once

#include <string>
#include <string_view>

namespace hipgpt {

/// Throws Error, naming the format and what to do, if `bytes` begin like a file of a format that is never
/// text: an archive, an image, a PDF, an array of numpy and others. `path` is for the message.
void refuse_known_formats(const std::string& path, std::string_view bytes);

/// A guess from the first 64 KiB of a file. Every file may be text, so a guess is worth a warning at most.
enum class FileContent {
  kText,
  kUtf16,  ///< with a byte-order mark
  kUtf16Le,
  kUtf16Be,
  kUtf32,  ///< with a byte-order mark
  kUtf32Le,
  kUtf32Be,
  kU16Ids,
  kU32Ids,
  kBinary
};

/// kU16Ids and kU32Ids: every number is an id of a usual vocabulary, and the bytes are not text. kBinary: too
/// many control characters for a text. A short file without a byte-order mark counts as kText.
FileContent guess_content(std::string_view bytes);

/// Returns a warning about a file that is read as text, byte by byte, or "" for kText.
std::string warning_about(const std::string& path, FileContent content);

}  // namespace hipgpt
