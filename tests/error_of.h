// What an Error says.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "error.h"

namespace hipgpt {

/// Returns the message of the Error that `action` throws, or "" if it throws none.
template <typename Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

/// Succeeds if an Error was thrown and its message is one line that contains `part`.
inline ::testing::AssertionResult says(const std::string& message, const std::string& part) {
  const bool good = message.find(part) != std::string::npos && message.find('\n') == std::string::npos;
  if (good) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "\"" << message << "\" does not say \"" << part << "\" on one line";
}

}  // namespace hipgpt
