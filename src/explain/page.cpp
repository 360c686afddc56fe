#include "explain/page.h"

#include <string_view>

#include "explain/page_parts.h"

namespace hipgpt {

namespace {

/// Replaces the only occurrence of `mark`.
void put(std::string& page, std::string_view mark, std::string_view text) {
  page.replace(page.find(mark), mark.size(), text);
}

/// JSON in which no `<` begins an HTML tag. Only strings have one, and there \u003c means the same.
std::string without_tags(const JsonValue& json) {
  std::string safe;
  for (const char c : json.dump()) {
    if (c == '<') {
      safe += "\\u003c";
    } else {
      safe += c;
    }
  }
  return safe;
}

}  // namespace

std::string explanation_page(const JsonValue& explanation) {
  std::string page(kPageHtml);
  put(page, "{{style}}", kPageCss);
  put(page, "{{script}}", kPageJs);
  put(page, "{{data}}", without_tags(explanation));  // last, since the data may hold any text
  return page;
}

}  // namespace hipgpt
