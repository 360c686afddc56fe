// The contracts of the operations: one function for each, by its name and with its parameters, which both
// devices call before anything else, in every build. Error unless shapes, dtypes and ranges are those of
// operations.h; the message names the operation, the argument, what it is and what it must be.
#pragma once

#include "operands.h"

namespace hipgpt::check {

#define HIPGPT_OPERATION(name, parameters, arguments) void name parameters;
#include "operations.h"

/// What copies and set_zero() take: Error unless every tensor is contiguous and present, or has no elements,
/// and both are of one dtype and size.
void copied(const char* function, Tensor t);
void copied(const char* function, Tensor dst, Tensor src);

}  // namespace hipgpt::check
