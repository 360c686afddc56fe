// The contracts of the operations: one function for each, by its name and with its parameters, which both
// devices call before anything else, in every build. Error unless shapes, dtypes and ranges are those of
// operations.h; the message names the operation, the argument, what it is and what it must be.
#pragma once

#include "operands.h"

namespace hipgpt::check {

#define HIPGPT_OPERATION(name, parameters, arguments) void name parameters;
#include "operations.h"

/// Error unless all ids [n] are from 0 to `limit` - 1, for a device whose memory the host can read. `table` is
/// what they are indices of.
void ids(const char* operation, const char* name, const int32_t* ids, int64_t n, int64_t limit,
         const char* table);

/// What copies and set_zero() take: Error unless every tensor is contiguous and present, or has no elements,
/// and both are of one dtype and size.
void copied(const char* function, Tensor t);
void copied(const char* function, Tensor dst, Tensor src);

}  // namespace hipgpt::check
