#include "util/terminal.h"

#include <unistd.h>
#include <utf8proc.h>

#include "util/utf8_stream.h"

namespace hipgpt {
namespace {

bool is_shown(utf8proc_int32_t c) {
  if (c < 0x20) return c == '\t' || c == '\n';
  if (c >= 0x7F && c <= 0x9F) return false;
  const bool is_bidi_control = c == 0x061C || c == 0x200E || c == 0x200F || (c >= 0x202A && c <= 0x202E) ||
                               (c >= 0x2066 && c <= 0x2069);
  return !is_bidi_control;
}

}  // namespace

std::string terminal_text(std::string_view text) {
  const std::string valid = valid_utf8(text);
  std::string shown;
  for (size_t i = 0; i < valid.size();) {
    utf8proc_int32_t c = 0;
    const auto size =
        static_cast<size_t>(utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(valid.data()) + i,
                                             static_cast<utf8proc_ssize_t>(valid.size() - i), &c));
    shown += is_shown(c) ? std::string_view(valid).substr(i, size) : "\uFFFD";
    i += size;
  }
  return shown;
}

bool is_terminal(std::FILE* stream) {
  return ::isatty(::fileno(stream)) == 1;
}

bool print_to(std::FILE* stream, std::string_view text) {
  const std::string shown = is_terminal(stream) ? terminal_text(text) : std::string();
  if (!shown.empty()) text = shown;
  return std::fwrite(text.data(), 1, text.size(), stream) == text.size() && std::fflush(stream) == 0;
}

}  // namespace hipgpt
