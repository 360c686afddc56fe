// The work of an operation, by formula: how many floating-point operations it needs and how many bytes it
// must move. Nothing here depends on how a device computes it.
#pragma once

#include <string>

#include "operands.h"

namespace hipgpt {

struct OperationCost {
  std::string shapes;  ///< such as "[26,128] x [128,384]"
  double flops;        ///< a multiplication and an addition are two; exp and tanh count as one each
  double bytes;        ///< each value that must be read or written counts once, so a cache can only lower it
};

/// One function for each operation in operations.h, with the same parameters.
namespace cost {
#define HIPGPT_OPERATION(name, parameters, arguments) OperationCost name parameters;
#include "operations.h"
}  // namespace cost

}  // namespace hipgpt
