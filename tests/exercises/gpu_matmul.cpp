// Exercise: a matrix product, in three steps.   Guide: chapter 13, src/hip/matrix_products.md
//
//   c[i,j] = sum_p a[i,p] b[p,j]     a [m,k], b [k,n], c [m,n];   here m = 128, n = 64, k = 32
//
//   1. A thread computes one element of c. It reads memory twice for each multiply-add.
//   2. A block of 16 x 16 threads computes a tile of 16 x 16 elements. It walks along k in steps of 16: all
//      threads load a tile of a and a tile of b into shared memory, meet, multiply, and meet again.
//      A value read from memory now serves 16 multiply-adds.
//   3. A block computes 64 x 64 elements, and each thread 4 x 4 of them: dim3(n / 64, m / 64), dim3(16, 16).
//      Four values of a and four of b, read from shared memory, serve 16 multiply-adds in registers.
//
// Empty, it prints
// > gpu_matmul: 8192 of 8192 elements are wrong; the first is c[0,0] = nan (nobody wrote it)
//
// Check it with ./scripts/exercise.sh gpu_matmul
#include "gpu.h"

__global__ void matmul_kernel(Float* c, const Float* a, const Float* b, int m, int n, int k) {
  // Write your code here.
}

void matmul(Float* c, const Float* a, const Float* b, int m, int n, int k) {
  hipLaunchKernelGGL(matmul_kernel, dim3(n / 16, m / 16), dim3(16, 16), 0, 0, c, a, b, m, n, k);
}
