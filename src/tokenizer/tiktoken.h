// Reads the vocabularies of tiktoken: a line for each token, with its bytes in base64 and its rank.
#pragma once

#include <string_view>

namespace hipgpt {

/// Returns whether a text begins as such a file does.
bool is_tiktoken(std::string_view text);

}  // namespace hipgpt
