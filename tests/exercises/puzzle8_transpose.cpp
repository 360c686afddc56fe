// Exercise: transpose a matrix.   Guide: chapter 11, src/platform/emulated/README.md
//
//   y[c,r] = x[r,c]     x [96,64], y [64,96]
//
// A block of 32 x 8 threads takes a square of 32 x 32 elements, so each thread takes four. If a wave reads a
// row of x, it writes a column of y, and every element of a column lies in another line. Go through shared
// memory instead: read rows, store them in a tile, meet, and write rows of y from columns of the tile. Then
// look at the banks: word i of shared memory is in bank i mod 32, so all words of a column of tile[32][32]
// are in the same bank. One more word in each row helps.
//
// Empty, it prints
// > puzzle8_transpose: 6144 of 6144 elements are wrong; the first is y[0,0] = nan (nobody wrote it)
//
// Check it with ./scripts/exercise.sh puzzle8_transpose
#include "gpu.h"

__global__ void transpose_kernel(Float* y, const Float* x, int rows, int columns) {
  // Write your code here.
}

void transpose(Float* y, const Float* x, int rows, int columns) {
  hipLaunchKernelGGL(transpose_kernel, dim3(columns / 32, rows / 32), dim3(32, 8), 0, 0, y, x, rows, columns);
}
