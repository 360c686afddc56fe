// A conversation in a terminal: a prompt in every line.
#pragma once

#include "generation/completer.h"

namespace hipgpt {

/// Reads lines from standard input to its end and continues each, with `samples` samples numbered on from
/// line to line, so that the same line again gives another text. In a terminal a sign asks for each line, and
/// Ctrl-C ends the continuation at hand; a second one, or one while a line is typed, ends the program.
void run_interactive(Completer& completer, int64_t samples);

}  // namespace hipgpt
