#include "tokenizer/pretokenizer.h"

namespace hipgpt {

size_t next_safe_cut(const Pretokenizer& pretokenizer, std::string_view text, size_t from) {
  if (from >= text.size()) return text.size();
  size_t position = character_boundary(text, from);
  while (position < text.size()) {
    const size_t next = position + character_at(text, position).size;
    if (next >= text.size()) break;
    if (pretokenizer.separates(text, position, next)) return next;
    position = next;
  }
  return text.size();
}

}  // namespace hipgpt
