// kCompiledFor. This file is compiled with the options of all other files, but it has only data, which any
// processor can read.
#include "cli/processor.h"

namespace hipgpt {

#define HIPGPT_HAS(macro) (#macro[0] == '1')  // an undefined macro expands to its own name
#define HIPGPT_IS_ON(macro) HIPGPT_HAS(macro)

constinit const ProcessorExtensions kCompiledFor = {.sse3 = HIPGPT_IS_ON(__SSE3__),
                                                    .ssse3 = HIPGPT_IS_ON(__SSSE3__),
                                                    .sse4_1 = HIPGPT_IS_ON(__SSE4_1__),
                                                    .sse4_2 = HIPGPT_IS_ON(__SSE4_2__),
                                                    .popcnt = HIPGPT_IS_ON(__POPCNT__),
                                                    .avx = HIPGPT_IS_ON(__AVX__),
                                                    .avx2 = HIPGPT_IS_ON(__AVX2__),
                                                    .bmi = HIPGPT_IS_ON(__BMI__),
                                                    .bmi2 = HIPGPT_IS_ON(__BMI2__),
                                                    .fma = HIPGPT_IS_ON(__FMA__),
                                                    .avx512f = HIPGPT_IS_ON(__AVX512F__),
                                                    .avx512cd = HIPGPT_IS_ON(__AVX512CD__),
                                                    .avx512bw = HIPGPT_IS_ON(__AVX512BW__),
                                                    .avx512dq = HIPGPT_IS_ON(__AVX512DQ__),
                                                    .avx512vl = HIPGPT_IS_ON(__AVX512VL__),
                                                    .sse4a = HIPGPT_IS_ON(__SSE4A__),
                                                    .xop = HIPGPT_IS_ON(__XOP__),
                                                    .fma4 = HIPGPT_IS_ON(__FMA4__)};

}  // namespace hipgpt
