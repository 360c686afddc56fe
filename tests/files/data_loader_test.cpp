#include "data_loader.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "test_files.h"

namespace hipgpt {
namespace {

/// A file whose token i is i, so that a token tells its position.
class DataLoaderTest : public FilesTest {
 protected:
  static constexpr int kTokens = 1000;

  DataLoaderTest() {
    std::vector<int32_t> tokens(kTokens);
    std::iota(tokens.begin(), tokens.end(), 0);
    TokenFileWriter writer(path("tokens.bin"), kTokens, 0, 0, 0);
    writer.append(tokens);
    writer.commit();
  }

  TokenFile tokens() const { return TokenFile::open(path("tokens.bin")); }
};

struct Batch {
  std::vector<int32_t> inputs, targets;
  bool operator==(const Batch&) const = default;
};

Batch random_batch(const DataLoader& loader, uint64_t k, int batch_size, int seq_len) {
  const size_t size = static_cast<size_t>(batch_size) * static_cast<size_t>(seq_len);
  Batch batch{std::vector<int32_t>(size, -1), std::vector<int32_t>(size, -1)};
  loader.random_batch(k, batch.inputs.data(), batch.targets.data());
  return batch;
}

TEST(SplitTokens, CutsOffTheEnd) {
  const DataSplit split = split_tokens(1000, 0.1, 32);
  EXPECT_EQ(split.train_begin, 0u);
  EXPECT_EQ(split.train_end, 900u);
  EXPECT_EQ(split.val_begin, 900u);
  EXPECT_EQ(split.val_end, 1000u);
}

TEST(SplitTokens, LosesNoTokenWhateverTheFraction) {
  for (size_t count = 200; count < 400; ++count) {
    for (const double fraction : {0.1, 0.25, 0.3333, 0.5, 0.9}) {
      const DataSplit split = split_tokens(count, fraction, 4);
      EXPECT_EQ(split.train_begin, 0u);
      EXPECT_EQ(split.train_end, split.val_begin);
      EXPECT_EQ(split.val_end, count);
      EXPECT_NEAR(static_cast<double>(split.val_end - split.val_begin), fraction * static_cast<double>(count),
                  1.0);
    }
  }
}

TEST(SplitTokens, ZeroMeansNoValidation) {
  const DataSplit split = split_tokens(33, 0.0, 32);
  EXPECT_EQ(split.train_end, 33u);
  EXPECT_EQ(split.val_begin, split.val_end);
}

TEST(SplitTokens, SaysWhatIsTooShort) {
  const auto error = [](size_t count, double fraction, int seq_len) {
    return error_of([&] { split_tokens(count, fraction, seq_len); });
  };
  EXPECT_EQ(
      error(20, 0.1, 32),
      "text has 20 tokens, of which 18 for training; max_seq_len 32 needs at least 33: use a longer text or "
      "a smaller max_seq_len");
  EXPECT_TRUE(says(error(0, 0.1, 32), "text has 0 tokens"));
  EXPECT_TRUE(says(error(1, 0.1, 32), "text has 1 token, of which"));
  EXPECT_TRUE(says(error(32, 0.0, 32), "32 for training"));
  EXPECT_EQ(error(33, 0.0, 32), "");
  EXPECT_TRUE(says(error(329, 0.1, 32), "32 for validation"));
  EXPECT_TRUE(says(error(329, 0.1, 32), "val_fraction above 0.1"));
  EXPECT_EQ(error(330, 0.1, 32), "");
  for (const double fraction : {-0.1, 1.0, 2.0, std::nan(""), HUGE_VAL}) {
    EXPECT_TRUE(says(error(1000, fraction, 32), "val_fraction"));
  }
  EXPECT_TRUE(says(error(1000, 0.1, 0), "max_seq_len 0"));
  EXPECT_TRUE(says(error(1000, 0.1, INT32_MAX), "max_seq_len 2147483647 needs at least 2147483648"));
}

TEST_F(DataLoaderTest, ABatchDependsOnSeedAndNumberAlone) {
  const DataLoader one(tokens(), 0, 900, 4, 8, 42), other(tokens(), 0, 900, 4, 8, 42);
  const Batch seventh = random_batch(one, 7, 4, 8);
  random_batch(other, 100, 4, 8);
  EXPECT_EQ(random_batch(other, 7, 4, 8), seventh);
  EXPECT_NE(random_batch(one, 8, 4, 8), seventh);
  EXPECT_NE(random_batch(one, 7 + (uint64_t{1} << 32), 4, 8), seventh);
  EXPECT_NE(random_batch(DataLoader(tokens(), 0, 900, 4, 8, 43), 7, 4, 8), seventh);
  EXPECT_NE(random_batch(DataLoader(tokens(), 0, 900, 4, 8, 42 + (uint64_t{1} << 32)), 7, 4, 8), seventh);
}

TEST_F(DataLoaderTest, ALargerBatchBeginsWithTheRowsOfASmallerOne) {
  const Batch small = random_batch(DataLoader(tokens(), 0, 900, 2, 8, 1), 3, 2, 8);
  Batch large = random_batch(DataLoader(tokens(), 0, 900, 5, 8, 1), 3, 5, 8);
  large.inputs.resize(small.inputs.size());
  large.targets.resize(small.targets.size());
  EXPECT_EQ(large, small);
}

TEST_F(DataLoaderTest, RowsAreConsecutiveTokensAndTargetsAreOneAhead) {
  const DataLoader loader(tokens(), 100, 300, 3, 16, 5);
  for (uint64_t k = 0; k < 200; ++k) {
    const Batch batch = random_batch(loader, k, 3, 16);
    for (size_t i = 0; i < batch.inputs.size(); ++i) {
      EXPECT_EQ(batch.inputs[i], batch.inputs[i / 16 * 16] + static_cast<int32_t>(i % 16));
      EXPECT_EQ(batch.targets[i], batch.inputs[i] + 1);
      EXPECT_GE(batch.inputs[i], 100);
      EXPECT_LT(batch.targets[i], 300);
    }
  }
}

TEST_F(DataLoaderTest, EveryPositionIsEquallyLikely) {
  constexpr int kStarts = 50, kSeq = 10, kBatch = 8, kBatches = 5000;
  const DataLoader loader(tokens(), 200, 200 + kStarts + kSeq, kBatch, kSeq, 9);
  std::vector<int> hits(kStarts);
  for (uint64_t k = 0; k < kBatches; ++k) {
    const Batch batch = random_batch(loader, k, kBatch, kSeq);
    for (int row = 0; row < kBatch; ++row) {
      const int start = batch.inputs[static_cast<size_t>(row) * kSeq] - 200;
      ASSERT_TRUE(start >= 0 && start < kStarts) << start;
      ++hits[static_cast<size_t>(start)];
    }
  }
  EXPECT_GT(*std::min_element(hits.begin(), hits.end()), 0);
  const double expected = 1.0 * kBatch * kBatches / kStarts;
  double chi_square = 0;
  for (const int count : hits) chi_square += (count - expected) * (count - expected) / expected;
  // With 49 degrees of freedom, 99.9 % of truly uniform draws are below 85.35, and 99.9 % above 23.98.
  EXPECT_LT(chi_square, 85.35);
  EXPECT_GT(chi_square, 23.98);
}

TEST_F(DataLoaderTest, TheShortestPartHasOneRow) {
  const DataLoader loader(tokens(), 991, 1000, 2, 8, 0);
  const Batch batch = random_batch(loader, 0, 2, 8);
  for (size_t i = 0; i < 16; ++i) EXPECT_EQ(batch.targets[i], 992 + static_cast<int32_t>(i % 8));
  EXPECT_EQ(loader.num_windows(), 1u);
}

TEST_F(DataLoaderTest, WindowsCoverThePartInOrder) {
  // Tries parts of every length around multiples of a window. Each window whose last target exists appears
  // once.
  for (size_t length = 9; length <= 60; ++length) {
    const DataLoader loader(tokens(), 500, 500 + length, 3, 8, 0);
    int32_t next = 500;
    for (size_t w = 0; w < loader.num_windows(); ++w) {
      Batch batch{std::vector<int32_t>(24, -1), std::vector<int32_t>(24, -1)};
      const size_t row = w % 3;
      loader.window(w, static_cast<int>(row), batch.inputs.data(), batch.targets.data());
      for (size_t at = 0; at < 24; ++at) {
        const bool filled = at / 8 == row;
        EXPECT_EQ(batch.inputs[at], filled ? next : -1);
        EXPECT_EQ(batch.targets[at], filled ? next + 1 : -1);
        next += filled;
      }
    }
    EXPECT_EQ(static_cast<size_t>(next - 500), (length - 1) / 8 * 8) << "length " << length;
    EXPECT_TRUE(
        says(error_of([&] { loader.window(loader.num_windows(), 0, nullptr, nullptr); }), "is out of range"));
    EXPECT_TRUE(says(error_of([&] { loader.window(0, 3, nullptr, nullptr); }), "is out of range"));
  }
}

TEST_F(DataLoaderTest, PartsOfABatchAreItsRows) {
  const DataLoader whole(tokens(), 0, 1000, 6, 8, 7), part(tokens(), 0, 1000, 2, 8, 7);
  const Batch all = random_batch(whole, 5, 6, 8);
  for (uint32_t row = 0; row < 6; row += 2) {
    std::vector<int32_t> inputs(16), targets(16);
    part.random_batch(5, inputs.data(), targets.data(), row);
    EXPECT_TRUE(std::equal(inputs.begin(), inputs.end(), all.inputs.begin() + row * 8));
  }
}

TEST_F(DataLoaderTest, OutlivesTheTokenFileItWasMadeFrom) {
  const auto loader = [&] {
    const TokenFile file = tokens();
    return DataLoader(file, 0, 1000, 1, 999, 0);
  }();
  EXPECT_EQ(random_batch(loader, 0, 1, 999).targets.back(), 999);
}

TEST_F(DataLoaderTest, RefusesPartsAndSizesThatDoNotFit) {
  const auto error = [&](size_t begin, size_t end, int batch_size, int seq_len) {
    return error_of([&] { DataLoader(tokens(), begin, end, batch_size, seq_len, 0); });
  };
  EXPECT_EQ(error(0, 9, 1, 8), "");
  EXPECT_TRUE(says(error(0, 8, 1, 8), "has 8 tokens, and max_seq_len 8 needs at least 9"));
  EXPECT_TRUE(says(error(0, 0, 1, 8), "has 0 tokens"));
  EXPECT_TRUE(says(error(0, 1001, 1, 8), "is outside them"));
  EXPECT_TRUE(says(error(20, 10, 1, 8), "is outside them"));
  EXPECT_TRUE(says(error(0, 100, 0, 8), "batch 0"));
  EXPECT_TRUE(says(error(0, 100, -1, 8), "batch -1"));
  EXPECT_TRUE(says(error(0, 100, 1, 0), "max_seq_len 0"));
  EXPECT_TRUE(says(error(0, 100, 1, -5), "max_seq_len -5"));
}

}  // namespace
}  // namespace hipgpt
