#include "generation/standard_streams.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "error.h"
#include "util/limited_input.h"
#include "util/parameter.h"
#include "util/terminal.h"

namespace hipgpt {

namespace {

constexpr const char* kName = "standard input";

std::string* redirected = nullptr;

/// std::cin reads through stdin and reports an error there as the end of input.
void check_standard_input() {
  if (std::ferror(stdin) != 0)
    throw Error(fmt::format("standard input cannot be read; give {} TEXT", Parameter::kPrompt));
}

}  // namespace

void redirect_output(std::string& text) {
  redirected = &text;
}

void write_out(std::string_view text) {
  if (redirected != nullptr) {
    redirected->append(text);
    return;
  }
  if (!print_to(stdout, text)) throw Error("standard output cannot be written");
}

void print_status(const std::string& text) {
  if (redirected == nullptr) print_to(stderr, text);
}

void show_progress(const std::string& line) {
  if (redirected != nullptr || !is_terminal(stderr)) return;
  std::fputs((kEraseLine + line).c_str(), stderr);
  std::fflush(stderr);
}

std::string read_standard_input() {
  std::string text = read_all(std::cin, kName);
  check_standard_input();
  return text;
}

bool read_standard_line(std::string& line) {
  const bool read = read_line(std::cin, line, kName);
  check_standard_input();
  return read;
}

bool standard_input_is_a_terminal() {
  return ::isatty(STDIN_FILENO) == 1;
}

}  // namespace hipgpt
