// The page: one HTML file that shows an explanation without a network or a library.
#pragma once

#include <string>

#include "util/json.h"

namespace hipgpt {

/// The page with this data in it. No text of the data can end the element that holds it.
std::string explanation_page(const JsonValue& explanation);

}  // namespace hipgpt
