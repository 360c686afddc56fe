// Formats arbitrary texts as Markdown (CommonMark with GitHub's tables).
#pragma once

#include <string>
#include <string_view>

namespace hipgpt::markdown {

/// Escapes characters that have a meaning in Markdown, so that the text shows verbatim. Control characters,
/// including line ends, become spaces.
std::string escaped(std::string_view text);

/// Returns the header of a two-column table, after a blank line that ends the previous block.
std::string table_head(std::string_view left, std::string_view right);

/// Returns a table row and escapes both cells.
std::string table_row(std::string_view left, std::string_view right);

/// Returns a code block whose fence is longer than any in the text.
std::string code_block(std::string_view text);

}  // namespace hipgpt::markdown
