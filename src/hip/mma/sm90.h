// The instructions of NVIDIA's Hopper (sm_90a) for products whose operands stay in shared memory: wgmma
// multiplies, TMA copies whole tiles, and mbarriers tell when a tile has arrived or has been read. NVIDIA's
// PTX manual describes each under its name.
//
// sm_90a is a feature set of its own: code for it runs on compute capability 9.0 alone.
#pragma once

#if defined(__CUDACC__)

#include <cuda.h>

#include "hip/bf16.h"
#include "hip/check.h"
#include "hip/kernel.h"

namespace hipgpt::hip::sm90 {

constexpr int kWarpgroup = 128;  ///< threads that issue a wgmma together

// ---- The host's side: tensor maps -----------------------------------------------------------------------

/// Matrices as TMA sees them: [depth, rows, width] elements, of which a copy takes a box of [box_rows, 128
/// bytes]. A box is lines of 128 bytes in shared memory, with the 16-byte units of line r permuted by r mod
/// 8. Elements outside a matrix are read as zero. They are not written, but for those in the last 16 bytes of
/// a row. `pitch` is the number of elements between rows, a multiple of 16 bytes; one matrix follows another.
template <typename T>
CUtensorMap tensor_map(const T* matrix, int rows, int width, int pitch, int box_rows, int depth = 1) {
  using Encode = CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*,
                              const cuuint64_t*, const cuuint32_t*, const cuuint32_t*, CUtensorMapInterleave,
                              CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill);
  static const Encode encode = [] {  // through the runtime, so that no program needs the driver's library
    void* function = nullptr;
    cudaDriverEntryPointQueryResult found;
#if CUDART_VERSION >= 12050
    HIP_CHECK(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault,
                                               &found));
#else
    HIP_CHECK(cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &function, cudaEnableDefault, &found));
#endif
    if (function == nullptr) throw Error("the CUDA driver has no cuTensorMapEncodeTiled: update the driver");
    return reinterpret_cast<Encode>(function);
  }();
  CUtensorMap map;
  const auto type = sizeof(T) == 2 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
  const cuuint64_t row_bytes = static_cast<cuuint64_t>(pitch) * sizeof(T);
  const cuuint64_t sizes[3] = {static_cast<cuuint64_t>(width), static_cast<cuuint64_t>(rows),
                               static_cast<cuuint64_t>(depth)};
  const cuuint64_t strides[2] = {row_bytes, row_bytes * static_cast<cuuint64_t>(rows)};
  const cuuint32_t box[3] = {128 / sizeof(T), static_cast<cuuint32_t>(box_rows), 1}, steps[3] = {1, 1, 1};
  const CUresult result = encode(&map, type, 3, const_cast<T*>(matrix), sizes, strides, box, steps,
                                 CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                                 CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS)
    throw Error("cuTensorMapEncodeTiled failed with error " + std::to_string(static_cast<int>(result)));
  return map;
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

__device__ inline uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

// ---- Barriers in shared memory --------------------------------------------------------------------------

/// A phase ends after `arrivals` arrivals and after all expected bytes.
__device__ inline void init_barrier(uint32_t barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals));
}
/// Makes initialised barriers visible to TMA.
__device__ inline void fence_barriers() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
__device__ inline void arrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
/// Arrives, and adds to the bytes that copies must bring before the phase ends.
__device__ inline void arrive_and_expect(uint32_t barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}
/// Waits for the end of the phase with this parity.
__device__ inline void wait(uint32_t barrier, int parity) {
  asm volatile(
      "{.reg .pred done;\n"
      "again: mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra again;}" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

/// Stages in the order in which they are filled and read, and the parity of their phase.
template <int kStages>
struct Ring {
  int stage = 0, parity = 0;

  __device__ void skip(int count) {
    const int sum = stage + count;
    stage = sum % kStages;
    parity ^= sum / kStages & 1;
  }
  __device__ void advance() {
    stage = stage + 1 == kStages ? 0 : stage + 1;
    parity ^= stage == 0 ? 1 : 0;
  }
};

// ---- Copies ---------------------------------------------------------------------------------------------

/// Starts to copy the box at (column, row) of matrix `depth` to shared memory; its bytes count at `barrier`.
__device__ inline void copy_box(uint32_t to, const CUtensorMap& map, int column, int row, uint32_t barrier,
                                int depth = 0) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], "
      "[%1, {%2, %3, %4}], [%5];" ::"r"(to),
      "l"(&map), "r"(column), "r"(row), "r"(depth), "r"(barrier)
      : "memory");
}
__device__ inline void prefetch_map(const CUtensorMap& map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(&map));
}

/// Orders this thread's stores to shared memory before the copies that a later barrier allows.
__device__ inline void fence_for_copies() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
/// Starts to copy a box from shared memory to (column, row) of matrix `depth`, or to add it to what is there. Each
/// element is one addition in fp32. This is no branch: where a branch meets registers of sums, ptxas takes products
/// one at a time.
__device__ inline void store_box(const CUtensorMap& map, uint32_t from, int column, int row, int depth,
                                 bool add) {
  asm volatile(
      "{.reg .pred add;\n"
      "setp.ne.b32 add, %5, 0;\n"
      "@add cp.reduce.async.bulk.tensor.3d.global.shared::cta.add.bulk_group [%0, {%2, %3, %4}], [%1];\n"
      "@!add cp.async.bulk.tensor.3d.global.shared::cta.bulk_group [%0, {%2, %3, %4}], [%1];}" ::"l"(&map),
      "r"(from), "r"(column), "r"(row), "r"(depth), "r"(int(add))
      : "memory");
}
/// Ends a group of stores, for wait_for_reads.
__device__ inline void end_of_stores() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}
/// Waits until at most kGroups of this thread's groups of stores have shared memory to read.
template <int kGroups>
__device__ inline void wait_for_reads() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kGroups) : "memory");
}
/// Stores or loads a value of 4 or 8 bytes at an address in shared memory.
template <typename T>
__device__ inline void store_shared(uint32_t to, T value) {
  if constexpr (sizeof(T) == 4) {
    asm volatile("st.shared.b32 [%0], %1;" ::"r"(to), "r"(*reinterpret_cast<const uint32_t*>(&value))
                 : "memory");
  } else {
    asm volatile("st.shared.b64 [%0], %1;" ::"r"(to), "l"(*reinterpret_cast<const uint64_t*>(&value))
                 : "memory");
  }
}
template <typename T>
__device__ inline T load_shared(uint32_t from) {
  T value;
  if constexpr (sizeof(T) == 4) {
    asm volatile("ld.shared.b32 %0, [%1];"
                 : "=r"(*reinterpret_cast<uint32_t*>(&value))
                 : "r"(from)
                 : "memory");
  } else {
    asm volatile("ld.shared.b64 %0, [%1];"
                 : "=l"(*reinterpret_cast<uint64_t*>(&value))
                 : "r"(from)
                 : "memory");
  }
  return value;
}

/// Stores four matrices of 8 x 8 that the lanes of a warp share. Lane l has two neighbours of row l / 4 of each;
/// the neighbours of matrix i are elements 2 i and 2 i + 1. It gives the address of row l % 8 of matrix l / 8.
__device__ inline void store_matrices(uint32_t row, const Vec<bf16, 8>& values) {
  const auto* words = reinterpret_cast<const uint32_t*>(&values);
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared::cta.b16 [%0], {%1, %2, %3, %4};" ::"r"(row),
               "r"(words[0]), "r"(words[1]), "r"(words[2]), "r"(words[3])
               : "memory");
}
/// Loads what store_matrices would store.
__device__ inline Vec<bf16, 8> load_matrices(uint32_t row) {
  Vec<bf16, 8> values;
  auto* words = reinterpret_cast<uint32_t*>(&values);
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared::cta.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(row)
               : "memory");
  return values;
}

/// A barrier of the threads of one warpgroup; barrier 0 is that of the block.
__device__ inline void sync_warpgroup(int barrier) {
  asm volatile("bar.sync %0, %1;" ::"r"(barrier), "n"(kWarpgroup) : "memory");
}

// ---- Registers ------------------------------------------------------------------------------------------

/// A warpgroup gives up registers beyond kCount, or waits until it has kCount.
template <int kCount>
__device__ inline void give_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kCount));
}
template <int kCount>
__device__ inline void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kCount));
}

// ---- Products -------------------------------------------------------------------------------------------

/// Describes an operand in shared memory, in lines of 128 bytes permuted by TMA. If k runs along the lines, a
/// group of 8 lines is 8 rows (or columns) of the product, and groups are 1024 bytes apart. Otherwise a line
/// is one k and 64 of the width, groups are 8 indices of k, and blocks of 64 are 64 lines, 8 KB, apart.
__device__ inline uint64_t operand(uint32_t address) {
  constexpr uint64_t kSwizzle128 = uint64_t{1} << 62, kGroup = uint64_t{1024 >> 4} << 32,
                     kBlock = uint64_t{8192 >> 4} << 16;
  return kSwizzle128 | kGroup | kBlock | (address & 0x3ffff) >> 4;
}

/// Orders earlier accesses to the registers of sums before the products that follow.
__device__ inline void begin_products() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
/// Ends a group of products, for wait_for_products.
__device__ inline void end_of_products() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/// Waits until at most kGroups groups of products are unfinished.
template <int kGroups>
__device__ inline void wait_for_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kGroups) : "memory");
}

// Sum d[e] of a thread is in row sum_row(e), of the 64 of its warpgroup, and column sum_column(e).
__device__ inline int sum_row(int e) {
  return static_cast<int>(threadIdx.x) % kWarpgroup / 32 * 16 + static_cast<int>(threadIdx.x) % 32 / 4 +
         e / 2 % 2 * 8;
}
__device__ inline int sum_column(int e) {
  return e / 4 * 8 + static_cast<int>(threadIdx.x) % 4 * 2 + e % 2;
}

/// The sums of two neighbouring columns of 64.
struct ColumnSums {
  float sums[2];
  int column;
};

/// Adds the first kLeft values of a lane to those of lane ^ 2 kLeft, or the next kLeft: each keeps one half.
template <int kLeft>
__device__ inline void share_sums(float (&v)[16]) {
  const bool upper = (threadIdx.x & 2 * kLeft) != 0;
#pragma unroll
  for (int i = 0; i < kLeft; ++i) {
    const float send = upper ? v[i] : v[i + kLeft], keep = upper ? v[i + kLeft] : v[i];
    v[i] = keep + __shfl_xor(send, 2 * kLeft);
  }
}

/// Sums the rows of a warp. Value v[4 i + e] of a thread belongs to column 16 i + 8 (e / 2) + sum_column(e % 2). Each
/// thread ends with the sums of two columns.
__device__ inline ColumnSums sum_of_warp(float (&v)[16]) {
  share_sums<8>(v);
  share_sums<4>(v);
  share_sums<2>(v);
  const int lane = static_cast<int>(threadIdx.x) % 32;
  return {{v[0], v[1]}, lane / 4 * 8 + lane % 4 * 2};
}

/// Keeps the compiler from reading or setting sums on the other side of this call.
template <int kCount>
__device__ inline void settle(float (&d)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(d[i])::"memory");
}

/// d += A B, or d = A B without kAdd: 64 x 128 sums of a warpgroup, over 16 indices of k.
template <bool kTransA, bool kTransB, bool kAdd = true>
__device__ inline void multiply_async(float (&d)[64], uint64_t a, uint64_t b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, "
      "%19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, "
      "%36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, "
      "%53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
      "}, %64, %65, %66, 1, 1, %67, %68;"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
        "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
        "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]),
        "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]),
        "+f"(d[30]), "+f"(d[31]), "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]),
        "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43]),
        "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), "+f"(d[48]), "+f"(d[49]), "+f"(d[50]),
        "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]), "+f"(d[56]), "+f"(d[57]),
        "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63])
      : "l"(a), "l"(b), "n"(int(kAdd)), "n"(int(kTransA)), "n"(int(kTransB)));
}

/// d += A B: 64 x 192 sums of a warpgroup, over 16 indices of k.
template <bool kTransA, bool kTransB>
__device__ inline void multiply_async(float (&d)[96], uint64_t a, uint64_t b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n192k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, "
      "%19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, "
      "%36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, "
      "%53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, %64, %65, %66, %67, %68, %69, "
      "%70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, %83, %84, %85, %86, "
      "%87, %88, %89, %90, %91, %92, %93, %94, %95"
      "}, %96, %97, 1, 1, 1, %98, %99;"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
        "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
        "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]),
        "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]),
        "+f"(d[30]), "+f"(d[31]), "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]),
        "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43]),
        "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), "+f"(d[48]), "+f"(d[49]), "+f"(d[50]),
        "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]), "+f"(d[56]), "+f"(d[57]),
        "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63]), "+f"(d[64]),
        "+f"(d[65]), "+f"(d[66]), "+f"(d[67]), "+f"(d[68]), "+f"(d[69]), "+f"(d[70]), "+f"(d[71]),
        "+f"(d[72]), "+f"(d[73]), "+f"(d[74]), "+f"(d[75]), "+f"(d[76]), "+f"(d[77]), "+f"(d[78]),
        "+f"(d[79]), "+f"(d[80]), "+f"(d[81]), "+f"(d[82]), "+f"(d[83]), "+f"(d[84]), "+f"(d[85]),
        "+f"(d[86]), "+f"(d[87]), "+f"(d[88]), "+f"(d[89]), "+f"(d[90]), "+f"(d[91]), "+f"(d[92]),
        "+f"(d[93]), "+f"(d[94]), "+f"(d[95])
      : "l"(a), "l"(b), "n"(int(kTransA)), "n"(int(kTransB)));
}

/// d += A B: 64 x 64 sums of a warpgroup, over 16 indices of k. A is in registers: the
/// thread's sums d[8 k / 16] ... of 16 columns, as pairs of bf16.
template <bool kTransB>
__device__ inline void multiply_async(float (&d)[32], const uint32_t (&a)[4], uint64_t b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, "
      "%18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
      "}, {%32, %33, %34, %35}, %36, 1, 1, 1, %37;"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
        "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
        "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]),
        "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]),
        "+f"(d[30]), "+f"(d[31])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(int(kTransB)));
}

#endif

}  // namespace hipgpt::hip::sm90

#endif
