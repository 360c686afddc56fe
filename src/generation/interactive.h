// Interactive mode: every input line is a prompt.
#pragma once

#include "generation/completer.h"

namespace hipgpt {

/// Reads standard input to its end and continues each line with `samples` samples. Sample numbers increase
/// from line to line, so repeating a line gives another text. A terminal shows a prompt sign for each line.
/// There Ctrl-C ends the current continuation; a second Ctrl-C, or one at the prompt sign, ends the program.
void run_interactive(Completer& completer, int64_t samples);

}  // namespace hipgpt
