// Tests of the choice of OpenBLAS's kernels, with a processor that has fewer vector instructions than this
// one, and with environment variables that a user may have set.
#include "cpu/blas_core.h"

#include <cblas.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

extern "C" [[gnu::weak]] void gotoblas_dynamic_init();  // only in builds with kernels for several processors

namespace hipgpt::cpu {
namespace {

/// Restores the processor's own kernels.
class BlasCore : public testing::Test {
 protected:
  BlasCore() {
    ::unsetenv("OPENBLAS_CORETYPE");
    correct_blas_core();
    if (processor_level() < VectorLevel::kAVX2) skip_ = "this processor has no AVX2";
    if (gotoblas_dynamic_init == nullptr) skip_ = "this OpenBLAS has kernels for one processor only";
  }
  ~BlasCore() override {
    ::unsetenv("OPENBLAS_CORETYPE");
    correct_blas_core();
  }

  static std::string core() { return openblas_get_corename(); }

  /// Returns sum_k a_k b_k for a_k = k and b_k = 1, as an OpenBLAS product computes it.
  static float product() {
    constexpr int k = 100;
    std::vector<float> a(k), b(k, 1.0f);
    for (int i = 0; i < k; ++i) a[static_cast<size_t>(i)] = static_cast<float>(i);
    float c = 0.0f;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, 1, 1, k, 1.0f, a.data(), k, b.data(), 1, 0.0f, &c,
                1);
    return c;
  }

  std::string skip_;
};

TEST_F(BlasCore, KernelsThatAProcessorLacksAreReplaced) {
  if (!skip_.empty()) GTEST_SKIP() << skip_;
  EXPECT_EQ(correct_blas_core(VectorLevel::kAVX), "");
  EXPECT_EQ(core(), "Sandybridge");
  EXPECT_EQ(product(), 4950.0f);
  EXPECT_EQ(correct_blas_core(VectorLevel::kBaseline), "");
  EXPECT_EQ(core(), "Nehalem");
  EXPECT_EQ(product(), 4950.0f);
}

TEST_F(BlasCore, OlderKernelsThanTheProcessorAllowsAreReplaced) {
  if (!skip_.empty()) GTEST_SKIP() << skip_;
  correct_blas_core(VectorLevel::kBaseline);  // as if OpenBLAS did not know the processor
  EXPECT_EQ(correct_blas_core(VectorLevel::kAVX2), "");
  EXPECT_EQ(core(), "Haswell");
  EXPECT_EQ(product(), 4950.0f);
  EXPECT_EQ(std::getenv("OPENBLAS_CORETYPE"), nullptr);
}

TEST_F(BlasCore, AChoiceOfTheUserIsKeptAndReported) {
  if (!skip_.empty()) GTEST_SKIP() << skip_;
  correct_blas_core(VectorLevel::kAVX);
  ::setenv("OPENBLAS_CORETYPE", "sandybridge", 1);
  EXPECT_EQ(correct_blas_core(VectorLevel::kAVX), "");
  EXPECT_EQ(correct_blas_core(VectorLevel::kAVX2),
            "OPENBLAS_CORETYPE=sandybridge: matrix products do not use this processor's AVX2 and are slow; "
            "unset OPENBLAS_CORETYPE");
  EXPECT_EQ(core(), "Sandybridge");
}

TEST_F(BlasCore, AChoiceThatWouldCrashIsReplacedAndReported) {
  if (!skip_.empty()) GTEST_SKIP() << skip_;
  correct_blas_core(VectorLevel::kAVX2);
  const std::string before = core();
  ::setenv("OPENBLAS_CORETYPE", before.c_str(), 1);
  EXPECT_EQ(correct_blas_core(VectorLevel::kAVX),
            "OPENBLAS_CORETYPE=" + before + ": needs AVX2, which this processor lacks; using Sandybridge");
  EXPECT_EQ(core(), "Sandybridge");
  EXPECT_EQ(std::getenv("OPENBLAS_CORETYPE"), before);
}

TEST_F(BlasCore, AMeaninglessNameChangesNothing) {
  if (!skip_.empty()) GTEST_SKIP() << skip_;
  ::setenv("OPENBLAS_CORETYPE", "Pentium9", 1);
  correct_blas_core(VectorLevel::kBaseline);
  EXPECT_EQ(correct_blas_core(VectorLevel::kAVX2), "");
  EXPECT_EQ(core(), "Haswell");
}

}  // namespace
}  // namespace hipgpt::cpu
