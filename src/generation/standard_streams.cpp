#include "generation/standard_streams.h"

#include <unistd.h>

#include <array>
#include <cstdio>

#include "error.h"
#include "util/terminal.h"

namespace hipgpt {

void write_out(std::string_view text) {
  if (!print_to(stdout, text)) throw Error("standard output cannot be written");
}

void remark(const std::string& text) {
  print_to(stderr, text);
}

std::string read_standard_input() {
  std::string text;
  std::array<char, 1 << 16> piece;
  while (const size_t count = std::fread(piece.data(), 1, piece.size(), stdin))
    text.append(piece.data(), count);
  if (std::ferror(stdin) != 0) throw Error("standard input cannot be read; give --prompt TEXT");
  return text;
}

bool standard_input_is_a_terminal() {
  return ::isatty(STDIN_FILENO) == 1;
}

}  // namespace hipgpt
