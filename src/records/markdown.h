// Pieces of Markdown (CommonMark, with GitHub's tables) around texts that may hold anything.
#pragma once

#include <string>
#include <string_view>

namespace hipgpt::markdown {

/// The text as it is: what has a meaning in Markdown is escaped, and line ends become spaces.
std::string escaped(std::string_view text);

/// The head of a table of two columns, which ends what came before it.
std::string table_head(std::string_view left, std::string_view right);

/// Both are escaped.
std::string table_row(std::string_view left, std::string_view right);

/// A fence that is longer than any in the text.
std::string code_block(std::string_view text);

}  // namespace hipgpt::markdown
