// What the processor must have for the code of this build to run.
#pragma once

namespace hipgpt {

/// Extensions of x86-64 that compilers use by themselves under -march=native, by the names that GCC and Clang
/// know them under. False throughout on other architectures.
struct ProcessorExtensions {
  bool sse3, ssse3, sse4_1, sse4_2, popcnt, avx, avx2, bmi, bmi2, fma, avx512f, avx512cd, avx512bw, avx512dq,
      avx512vl, sse4a, xop, fma4;
};

/// What the files of this build were compiled for.
extern const ProcessorExtensions kCompiledFor;

/// The first extension in kCompiledFor that this processor lacks, or null.
const char* missing_extension();

}  // namespace hipgpt
