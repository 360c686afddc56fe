// The one exception type of HipGPT.
#pragma once

#include <stdexcept>

namespace hipgpt {

/// An error the user can act on. The message is one line, names the file, flag or value at fault, and says
/// what is valid instead. The executables print it on stderr and exit with status 1.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace hipgpt
