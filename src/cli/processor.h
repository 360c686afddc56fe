// The processor features that the code of this build needs.
#pragma once

namespace hipgpt {

/// The x86-64 extensions that compilers use automatically under -march=native, with GCC's and Clang's names.
/// All are false on other architectures.
struct ProcessorExtensions {
  bool sse3, ssse3, sse4_1, sse4_2, popcnt, avx, avx2, bmi, bmi2, fma, avx512f, avx512cd, avx512bw, avx512dq,
      avx512vl, sse4a, xop, fma4;
};

/// The extensions that the files of this build were compiled for.
extern const ProcessorExtensions kCompiledFor;

/// The first extension in kCompiledFor that this processor lacks, or null.
const char* missing_extension();

}  // namespace hipgpt
