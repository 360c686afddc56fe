// Tests of the tile code in src/hip. Every accumulator is compared with a sum in double, in every layout of
// its operands; the atoms of both families run with emulated instructions. Other tests check tile layouts,
// guarded loads and reductions.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "hip/attention_tile.h"
#include "hip/launch.h"
#include "hip/matmul_bf16_tile.h"
#include "platform/device_array.h"
#include "util/largest_error.h"

namespace hipgpt::hip {
namespace {

std::vector<float> random_values(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  std::vector<float> values(count);
  for (float& v : values) v = uniform(random);
  return values;
}

// ---- Products -------------------------------------------------------------------------------------------

template <typename Shape, bool kTransA, bool kTransB, bool kAligned>
__global__ void product_kernel(Product<float, float> p) {
  using Block = ProductTile<Shape, kTransA, kTransB, kAligned>;
  HIPGPT_SHARED(vec4, memory, [Block::kSize]);
  Block::run(p, memory);
}

/// The product of contiguous matrices, in one part.
template <bool kTransA, bool kTransB, typename T>
Product<T, float> product_of(float* c, const T* a, const T* b, int m, int n, int k) {
  return {.c = c,
          .a = a,
          .b = b,
          .lda = kTransA ? m : k,
          .ldb = kTransB ? k : n,
          .ldc = n,
          .m = m,
          .n = n,
          .k = k,
          .part_k = k,
          .aligned_c = n % 4 == 0};
}

/// The largest error of C = op(A) op(B), computed with one block per tile. The error of an element is
/// relative to the sum of the magnitudes of its products.
template <typename Shape, bool kTransA, bool kTransB, bool kAligned>
double product_error(int m, int n, int k) {
  const DeviceArray<float> a(random_values(static_cast<size_t>(m) * k, 1)),
      b(random_values(static_cast<size_t>(k) * n, 2));
  const DeviceArray<float> c(std::vector<float>(static_cast<size_t>(m) * n, NAN));
  const auto p = product_of<kTransA, kTransB>(c.data(), a.data(), b.data(), m, n, k);
  const int tiles = (m + Shape::kM - 1) / Shape::kM * ((n + Shape::kN - 1) / Shape::kN);
  hipLaunchKernelGGL((product_kernel<Shape, kTransA, kTransB, kAligned>), dim3(tiles), dim3(Shape::kThreads),
                     0, nullptr, p);
  EXPECT_EQ(hipGetLastError(), hipSuccess);
  const std::vector<float> x = a.download(), y = b.download(), z = c.download();
  LargestError error;
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; ++j) {
      double sum = 0.0, magnitude = 0.0;
      for (int l = 0; l < k; ++l) {
        const double term = static_cast<double>(kTransA ? x[static_cast<size_t>(l) * m + i]
                                                        : x[static_cast<size_t>(i) * k + l]) *
                            (kTransB ? y[static_cast<size_t>(j) * k + l] : y[static_cast<size_t>(l) * n + j]);
        sum += term;
        magnitude += std::fabs(term);
      }
      error.add(z[static_cast<size_t>(i) * n + j] / magnitude, sum / magnitude);
    }
  }
  return error.absolute();
}

template <typename Shape>
void expect_products_are_right(double tolerance) {
  // More than one tile in both directions, edges inside tiles, and a partial last step along k.
  constexpr int kM = Shape::kM + 12, kN = Shape::kN + 20, kK = 44;
  EXPECT_LE((product_error<Shape, false, false, true>(kM, kN, kK)), tolerance);
  EXPECT_LE((product_error<Shape, false, true, true>(kM, kN, kK)), tolerance);
  EXPECT_LE((product_error<Shape, true, false, true>(kM, kN, kK)), tolerance);
  EXPECT_LE((product_error<Shape, false, false, false>(kM - 1, kN - 3, kK - 1)), tolerance);
  EXPECT_LE((product_error<Shape, false, true, false>(kM - 1, kN - 3, kK - 1)), tolerance);
  EXPECT_LE((product_error<Shape, true, false, false>(kM - 1, kN - 3, kK - 1)), tolerance);
  EXPECT_LE((product_error<Shape, true, true, false>(3, 5, 1)), tolerance);
}

constexpr double kFp32 = 2e-6;

TEST(Accumulators, PlainLarge) {
  expect_products_are_right<TileShape<128, 64, 16, 8, 8, NoAtom>>(kFp32);
}
TEST(Accumulators, PlainMedium) {
  expect_products_are_right<TileShape<64, 64, 16, 4, 4, NoAtom>>(kFp32);
}
TEST(Accumulators, PlainSmall) {
  expect_products_are_right<TileShape<32, 32, 32, 2, 2, NoAtom>>(kFp32);
}

/// The atom uses teams of 32 lanes, so it works at either wave size. High and low parts together are accurate
/// to 2^-22 of each product; high parts alone would give an error of 2^-11.
TEST(Accumulators, Sm80) {
  expect_products_are_right<TileShape<128, 64, 16, 8, 8, Sm80Atom>>(kFp32);
}

#if HIPGPT_WAVE_SIZE == 64
TEST(Accumulators, Cdna) {
  expect_products_are_right<TileShape<128, 64, 16, 8, 8, CdnaAtom>>(kFp32);
}
#endif

// ---- Products of bf16 -----------------------------------------------------------------------------------

template <typename Shape, bool kTransA, bool kTransB, bool kAligned>
__global__ void product_bf16_kernel(Product<bf16, float> p) {
  using Block = Bf16ProductTile<Shape, kTransA, kTransB, kAligned>;
  HIPGPT_DYNAMIC_SHARED(vec4, memory);
  Block::run(p, memory);
}

/// Whether C = op(A) op(B) is exact for integers, computed with one block per tile.
template <typename Shape, bool kTransA, bool kTransB, bool kAligned>
void expect_bf16_product_is_exact(int m, int n, int k) {
  const auto integers = [](size_t count, unsigned seed) {
    std::vector<float> values = random_values(count, seed);
    for (float& v : values) v = std::round(4 * v);
    return values;
  };
  const auto halves = [](const std::vector<float>& values) {
    std::vector<bf16> result;
    for (const float v : values) result.push_back(to_bf16(v));
    return result;
  };
  const std::vector<float> x = integers(static_cast<size_t>(m) * k, 1),
                           y = integers(static_cast<size_t>(k) * n, 2);
  const DeviceArray<bf16> a(halves(x)), b(halves(y));
  const DeviceArray<float> c(std::vector<float>(static_cast<size_t>(m) * n, NAN));
  const auto p = product_of<kTransA, kTransB>(c.data(), a.data(), b.data(), m, n, k);
  const int tiles = (m + Shape::kM - 1) / Shape::kM * ((n + Shape::kN - 1) / Shape::kN);
  using Block = Bf16ProductTile<Shape, kTransA, kTransB, kAligned>;
  launch_with_shared(product_bf16_kernel<Shape, kTransA, kTransB, kAligned>, dim3(tiles),
                     dim3(Shape::kThreads), Block::kBytes, nullptr, p);
  std::vector<float> expected(static_cast<size_t>(m) * n, 0.0f);
  for (int i = 0; i < m; ++i) {
    for (int l = 0; l < k; ++l) {
      const float left = kTransA ? x[static_cast<size_t>(l) * m + i] : x[static_cast<size_t>(i) * k + l];
      for (int j = 0; j < n; ++j) {
        expected[static_cast<size_t>(i) * n + j] +=
            left * (kTransB ? y[static_cast<size_t>(j) * k + l] : y[static_cast<size_t>(l) * n + j]);
      }
    }
  }
  EXPECT_EQ(c.download(), expected) << m << " " << n << " " << k;
}

template <typename Shape>
void expect_bf16_products_are_exact() {
  // As above: several tiles, edges inside tiles, and a partial last step along k.
  constexpr int kM = Shape::kM + 8, kN = Shape::kN + 24, kK = 136;
  expect_bf16_product_is_exact<Shape, false, false, true>(kM, kN, kK);
  expect_bf16_product_is_exact<Shape, false, true, true>(kM, kN, kK);
  expect_bf16_product_is_exact<Shape, true, false, true>(kM, kN, kK);
  expect_bf16_product_is_exact<Shape, false, false, false>(kM - 1, kN - 3, kK - 1);
  expect_bf16_product_is_exact<Shape, false, true, false>(kM - 1, kN - 3, kK - 1);
  expect_bf16_product_is_exact<Shape, true, false, false>(kM - 1, kN - 3, kK - 1);
  expect_bf16_product_is_exact<Shape, true, false, false>(3, 5, 1);
}

TEST(Accumulators, PlainBf16) {
  expect_bf16_products_are_exact<Bf16Shape<128, 128, 128, NoAtom>>();
  expect_bf16_products_are_exact<Bf16Shape<64, 64, 128, NoAtom>>();
}

TEST(Accumulators, Sm80Bf16) {
  expect_bf16_products_are_exact<Bf16Shape<128, 128, 128, Sm80Bf16Atom>>();
  expect_bf16_products_are_exact<Bf16Shape<64, 64, 128, Sm80Bf16Atom>>();
}

// The atoms of RDNA use waves of 32 lanes, or halves of waves of 64.
TEST(Accumulators, Rdna3Bf16) {
  expect_bf16_products_are_exact<Bf16Shape<128, 128, 256, Rdna3Bf16Atom>>();
  expect_bf16_products_are_exact<Bf16Shape<64, 64, 128, Rdna3Bf16Atom>>();
}
TEST(Accumulators, Rdna4Bf16) {
  expect_bf16_products_are_exact<Bf16Shape<128, 128, 256, Rdna4Bf16Atom>>();
  expect_bf16_products_are_exact<Bf16Shape<64, 64, 128, Rdna4Bf16Atom>>();
}
#if HIPGPT_WAVE_SIZE == 64
TEST(Accumulators, CdnaBf16) {
  expect_bf16_products_are_exact<Bf16Shape<128, 128, 256, CdnaBf16Atom>>();
  expect_bf16_products_are_exact<Bf16Shape<64, 64, 128, CdnaBf16Atom>>();
}
#endif

/// AMD's GPUs read and write 16 bytes of the lanes of `lanes` at once, with `units` units in a line of banks.
/// Lane l reads unit l / 16 of line l % 16.
void expect_operand_reads_use_all_banks(const std::vector<int>& lanes, int units) {
  using Tile = OperandTile<128, true>;
  for (int line = 0; line < Tile::kWidth; line += 16) {
    for (const int unit : {0, 4}) {
      std::set<int> banks;
      for (const int lane : lanes) banks.insert(Tile::place(line + lane % 16, unit + lane / 16) % units);
      EXPECT_EQ(banks.size(), lanes.size()) << line << ' ' << unit;
    }
  }
}

TEST(OperandTileTest, LanesOfAmdUseAllBanks) {
  expect_operand_reads_use_all_banks({0, 1, 2, 3, 4, 5, 6, 7}, 8);
  expect_operand_reads_use_all_banks({8, 9, 10, 11, 12, 13, 14, 15}, 8);
  // The lanes that CDNA4 serves at once, measured by others.
  expect_operand_reads_use_all_banks({0, 1, 2, 3, 12, 13, 14, 15, 20, 21, 22, 23, 24, 25, 26, 27}, 16);
  expect_operand_reads_use_all_banks({4, 5, 6, 7, 8, 9, 10, 11, 16, 17, 18, 19, 28, 29, 30, 31}, 16);
  using Tile = OperandTile<128, true>;
  for (int i = 0; i < 8; ++i) {
    std::set<int> banks;  // written by lanes that transpose
    for (int lane = 0; lane < 8; ++lane) banks.insert(Tile::place(lane * 8 + i, 3) % 8);
    EXPECT_EQ(banks.size(), 8u);
  }
}

TEST(OperandTileTest, EightLanesUseAllBanks) {
  using Along = OperandTile<64, true>;
  using Across = OperandTile<64, false>;
  std::vector<vec4> memory(Along::kUnits);
  const Along along{memory.data()};
  const Across across{memory.data()};
  for (int unit = 0; unit < 8; ++unit) {
    std::set<long> of_lines, of_line, of_rows;  // units of 16 bytes, eight of which are all banks
    for (int i = 0; i < 8; ++i) {
      of_lines.insert((along.unit(unit * 8, 8 + i) - memory.data()) % 8);
      of_line.insert((along.unit(i * 8, unit) - memory.data()) % 8);
      of_rows.insert((across.unit(16 + i, unit * 8) - memory.data()) % 8);
    }
    EXPECT_EQ(of_lines.size(), 8u);
    EXPECT_EQ(of_line.size(), 8u);
    EXPECT_EQ(of_rows.size(), 8u);
  }
}

TEST(Bf16Test, RoundsToTheNearestAndTiesToEven) {
  const std::pair<uint32_t, uint16_t> cases[] = {
      {0x3f800000, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f808001, 0x3f81}, {0x3f818000, 0x3f82},
      {0x3f817fff, 0x3f81}, {0xbf808001, 0xbf81}, {0x7f7fffff, 0x7f80}, {0x7f800000, 0x7f80},
      {0x7f800001, 0x7fc0}, {0xffffffff, 0xffff}, {0x00000000, 0x0000}, {0x80000000, 0x8000},
      {0x00018000, 0x0002}};
  for (const auto& [bits, rounded] : cases) EXPECT_EQ(to_bf16(__uint_as_float(bits)).bits, rounded) << bits;
}

TEST(Accumulators, CdnaTakesShorterStepsForItsSharedMemory) {
  using Block = ProductTile<TileShape<128, 64, 16, 8, 8, CdnaAtom>, false, false, true>;
  EXPECT_LE(Block::kSize * sizeof(vec4), 16u * 1024) << "four blocks of two waves do not fit in 64 KB";
}

TEST(Atoms, HighAndLowPartsMakeTheWhole) {
  for (const float x : random_values(1000, 3)) {
    Sm80Atom::Left split;
    split.set(0, x);
    const float high = __uint_as_float(split.high[0]), low = __uint_as_float(split.low[0]);
    EXPECT_EQ(split.high[0] & 0x1fff, 0u) << "tf32 has 10 bits of fraction";
    EXPECT_EQ(high + low, x);
    EXPECT_LE(std::fabs(low), std::fabs(x) * 0x1p-11f);
  }
}

// ---- The epilogue ---------------------------------------------------------------------------------------

__global__ void epilogue_kernel(Epilogue<float> epilogue, Rows<float> c, const float* sums) {
  const int row = threadIdx.x / 2, column = threadIdx.x % 2 * 4;
  epilogue.store(c, row, column, load_part(sums + row * c.width + column, 0, c.width - column));
}

TEST(EpilogueTest, DoesEverythingInItsOrder) {
  for (const int n : {8, 7}) {
    const size_t size = static_cast<size_t>(32) * n;
    const std::vector<float> before = random_values(size, 4), s = random_values(size, 5);
    const DeviceArray<float> sums(s), bias(random_values(n, 6)), slopes(before),
        factors(random_values(size, 7));
    for (const bool factor : {false, true}) {
      const DeviceArray<float> c(before);
      Epilogue<float> epilogue;
      epilogue.bias = bias.data();
      epilogue.slope = slopes.data();
      epilogue.factor = factor ? factors.data() : nullptr;
      epilogue.act = Activation::kGelu;
      epilogue.accumulate = true;
      const Rows<float> rows{c.data(), n, 32, n, n == 8};
      hipLaunchKernelGGL(epilogue_kernel, dim3(1), dim3(64), 0, nullptr, epilogue, rows, sums.data());
      const std::vector<float> result = c.download(), slope = slopes.download(), b = bias.download(),
                               f = factors.download();
      for (size_t i = 0; i < size; ++i) {
        const float x = s[i] + b[i % n];
        EXPECT_EQ(slope[i], activation_slope(Activation::kGelu, x));
        const float y = activate(Activation::kGelu, x);
        EXPECT_EQ(result[i], before[i] + (factor ? y * f[i] : y));
      }
    }
  }
}

// ---- Layouts --------------------------------------------------------------------------------------------

/// The group of banks that holds a vec4. Shared memory has eight groups of four banks.
int bank_of(int index) {
  return index % 8;
}

template <typename T>
void expect_each_vec_its_own_place() {
  std::vector<vec4> memory(T::kSize);
  const T tile{memory.data()};
  std::set<const vec4*> places;
  for (int row = 0; row < T::kRows; ++row) {
    for (int v = 0; v < T::kRowVecs; ++v) {
      const vec4* at = &tile.at(row, v);
      ASSERT_TRUE(at >= memory.data() && at < memory.data() + T::kSize) << row << ' ' << v;
      EXPECT_TRUE(places.insert(at).second) << row << ' ' << v;
      EXPECT_EQ(&tile.template piece<1>(row, 4 * v + 3)[0], &at->values[3]);
    }
  }
}

/// The lanes of a row read rows 0, 4, ... 28 at one column (A B^T), or eight neighbouring vec4 (A B), at
/// once.
template <typename Layout>
void expect_no_bank_conflicts(int row_vecs) {
  for (int v = 0; v < row_vecs; ++v) {
    std::set<int> banks;
    for (int lane = 0; lane < 8; ++lane) banks.insert(bank_of(Layout::index(4 * lane, v, row_vecs)));
    EXPECT_EQ(banks.size(), 8u) << "rows 0, 4, ... at " << v;
  }
  for (int row = 0; row < 32; ++row) {
    std::set<int> banks;
    for (int lane = 0; lane < 8; ++lane) banks.insert(bank_of(Layout::index(row, lane, row_vecs)));
    EXPECT_EQ(banks.size(), 8u) << "row " << row;
  }
}

TEST(Tiles, EveryVecHasAPlaceOfItsOwn) {
  expect_each_vec_its_own_place<Tile<32, 64, Swizzled<2>>>();
  expect_each_vec_its_own_place<Tile<64, 32, Swizzled<2>>>();
  expect_each_vec_its_own_place<Tile<32, 64, Padded<2, 1>>>();
  expect_each_vec_its_own_place<Tile<16, 128, Padded<0, 2>>>();
}

TEST(Tiles, LanesMeetAllBanks) {
  for (const int row_vecs : {8, 16, 64}) {
    expect_no_bank_conflicts<Swizzled<2>>(row_vecs);
    expect_no_bank_conflicts<Padded<2, 1>>(row_vecs);
  }
}

template <typename T, bool kTransposed>
__global__ void copy_kernel(float* to, Rows<const float> from) {
  HIPGPT_SHARED(vec4, memory, [T::kSize]);
  const T tile{memory};
  TileLoader<T, 64, kTransposed> loader;
  loader.load(from, 0, 0);
  loader.store(tile);
  __syncthreads();
  for (int i = threadIdx.x; i < T::kRows * T::kColumns; i += 64)
    to[i] = tile.template piece<1>(i / T::kColumns, i % T::kColumns)[0];
}

template <typename T, bool kTransposed>
void expect_copy(int rows, int width) {
  const std::vector<float> values = random_values(static_cast<size_t>(rows) * width, 8);
  const DeviceArray<float> from(values), to(std::vector<float>(static_cast<size_t>(T::kRows) * T::kColumns));
  hipLaunchKernelGGL((copy_kernel<T, kTransposed>), dim3(1), dim3(64), 0, nullptr, to.data(),
                     (Rows<const float>{from.data(), width, rows, width, width % 4 == 0}));
  const std::vector<float> tile = to.download();
  for (int r = 0; r < T::kRows; ++r) {
    for (int c = 0; c < T::kColumns; ++c) {
      const int row = kTransposed ? c : r, column = kTransposed ? r : c;
      const bool inside = row < rows && column < width;
      EXPECT_EQ(tile[static_cast<size_t>(r) * T::kColumns + c],
                inside ? values[static_cast<size_t>(row) * width + column] : 0.0f);
    }
  }
}

TEST(Tiles, LoadersBringRowsOrColumnsAndZerosOutside) {
  expect_copy<Tile<32, 64, Swizzled<2>>, false>(32, 64);
  expect_copy<Tile<32, 64, Swizzled<2>>, false>(29, 50);
  expect_copy<Tile<32, 64, Padded<2, 1>>, false>(29, 52);
  expect_copy<Tile<16, 64, Padded<0, 1>>, true>(64, 16);
  expect_copy<Tile<16, 64, Padded<0, 1>>, true>(61, 13);
}

// ---- Packs ----------------------------------------------------------------------------------------------

template <typename T>
void expect_guarded_loads() {
  constexpr int kCount = kVecSize<T>;
  static_assert(sizeof(Vec<T, kCount>) == 16 && alignof(Vec<T, kCount>) == 16);
  alignas(16) T row[2 * kCount];
  for (int i = 0; i < 2 * kCount; ++i) row[i] = static_cast<T>(i + 1);
  for (int width = 0; width <= 2 * kCount; ++width) {
    for (int column = 0; column < 2 * kCount; column += kCount) {
      const auto v = load<false>(row, column, width);
      for (int i = 0; i < kCount; ++i) EXPECT_EQ(v[i], column + i < width ? row[column + i] : T(0));
      T copy[2 * kCount] = {};
      store<false>(copy, column, width, filled<T, kCount>(T(9)));
      for (int i = 0; i < 2 * kCount; ++i)
        EXPECT_EQ(copy[i], i >= column && i < column + kCount && i < width ? T(9) : T(0));
    }
  }
  EXPECT_EQ(load<true>(row, kCount, 2 * kCount)[0], row[kCount]);
  EXPECT_EQ(load<true>(row, kCount, kCount)[0], T(0));
}

TEST(Packs, AreSixteenBytesOfAnyTypeAndGuarded) {
  expect_guarded_loads<float>();
  expect_guarded_loads<double>();
  expect_guarded_loads<uint16_t>();  // the bits of bf16
}

TEST(Packs, AlignmentIsOneTest) {
  alignas(16) const float memory[8] = {};
  const float* none = nullptr;
  EXPECT_TRUE(rows_aligned(8, memory, none));
  EXPECT_FALSE(rows_aligned(6, memory));
  EXPECT_FALSE(rows_aligned(8, memory + 1));
  EXPECT_TRUE(all_aligned(memory, memory + 4));
  EXPECT_FALSE(all_aligned(memory, memory + 2));
}

// ---- Reductions -----------------------------------------------------------------------------------------

__global__ void reduce_kernel(float* out, const float* x) {
  const float v = x[threadIdx.x];
  out[threadIdx.x] = reduce_lanes<8>(v, Add());
  out[256 + threadIdx.x] = reduce_lanes<kTeam>(v, Max());
  out[512 + threadIdx.x] = sum_thread_rows<256, 32>(v);
  out[768 + threadIdx.x] = block_sum<256>(v);
}

TEST(Reductions, OverLanesTeamsRowsAndBlock) {
  std::vector<float> x(256);
  for (int i = 0; i < 256; ++i) x[i] = static_cast<float>(i * 37 % 101);  // sums of small integers are exact
  const DeviceArray<float> in(x), out(std::vector<float>(1024));
  hipLaunchKernelGGL(reduce_kernel, dim3(1), dim3(256), 0, nullptr, out.data(), in.data());
  const std::vector<float> result = out.download();
  float total = 0.0f;
  for (const float v : x) total += v;
  for (int t = 0; t < 256; ++t) {
    float eight = 0.0f, top = 0.0f, column = 0.0f;
    for (int i = 0; i < 8; ++i) eight += x[t / 8 * 8 + i];
    for (int i = 0; i < 32; ++i) top = std::max(top, x[t / 32 * 32 + i]);
    for (int row = 0; row < 8; ++row) column += x[row * 32 + t % 32];
    EXPECT_EQ(result[t], eight);
    EXPECT_EQ(result[256 + t], top);
    EXPECT_EQ(result[512 + t], t < 32 ? column : x[t]);
    EXPECT_EQ(result[768 + t], total);
  }
}

}  // namespace
}  // namespace hipgpt::hip
