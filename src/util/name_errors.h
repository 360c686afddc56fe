// Prefixes error messages with the name of a file.
#pragma once

#include <fmt/format.h>

#include <string>

#include "error.h"

namespace hipgpt {

/// Returns read() and prefixes its Errors with "name: ".
template <typename Read>
auto name_errors(const std::string& name, const Read& read) {
  try {
    return read();
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", name, error.what()));
  }
}

}  // namespace hipgpt
