// The name of a file before what is wrong with it.
#pragma once

#include <fmt/format.h>

#include <string>

#include "error.h"

namespace hipgpt {

/// read(), whose Errors get "name: " put before them.
template <typename Read>
auto name_errors(const std::string& name, const Read& read) {
  try {
    return read();
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", name, error.what()));
  }
}

}  // namespace hipgpt
