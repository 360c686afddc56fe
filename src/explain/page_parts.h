// The files page.html, page.css and page.js as texts. CMake writes the source file that defines them.
#pragma once

#include <string_view>

namespace hipgpt {

extern const std::string_view kPageHtml, kPageCss, kPageJs;

}  // namespace hipgpt
