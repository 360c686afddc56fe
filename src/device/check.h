// The contracts of the operations. Each operation has one function here, with the same name and parameters.
// Both devices call it before anything else, in every build. It throws Error unless shapes, dtypes and ranges
// match operations.h; the message names the operation, the argument, its value and the valid values.
#pragma once

#include "operands.h"

namespace hipgpt::check {

#define HIPGPT_OPERATION(name, parameters, arguments) void name parameters;
#include "operations.h"

/// Throws Error unless all ids [n] are from 0 to `limit` - 1. Only for a device whose memory the host can
/// read. `table` names the table that the ids index.
void ids(const char* operation, const char* name, const int32_t* ids, int64_t n, int64_t limit,
         const char* table);

/// The contract of copies and set_zero(). Throws Error unless every tensor is contiguous and either present
/// or empty, and both tensors have the same dtype and size.
void copied(const char* function, Tensor t);
void copied(const char* function, Tensor dst, Tensor src);

}  // namespace hipgpt::check
