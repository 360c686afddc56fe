// Corrects OpenBLAS's choice of kernels for this processor.
#pragma once

#include <string>

#include "cpu/vector_level.h"

namespace hipgpt::cpu {

/// OpenBLAS has kernels for many processors and chooses among them when it is loaded, by the processor's
/// model or by the environment variable OPENBLAS_CORETYPE. A version that does not know a model takes kernels
/// of 2004 ("Prescott"), which makes training 4 to 7 times slower. OPENBLAS_CORETYPE may also name kernels
/// that the processor cannot run.
///
/// This function compares the choice with the processor's vector instructions and makes OpenBLAS choose again
/// if they do not match. It keeps an older choice that the user asked for. It returns a line for the user if
/// products will be slow or OPENBLAS_CORETYPE was overridden, and otherwise "". Calls after the first change
/// nothing. No other thread may use OpenBLAS during the call.
///
/// `processor` is an argument for tests.
std::string correct_blas_core(VectorLevel processor = processor_level());

}  // namespace hipgpt::cpu
