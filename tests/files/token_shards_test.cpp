#include "token_shards.h"

#include <cstring>
#include <numeric>
#include <vector>

#include "data_loader.h"
#include "test_files.h"

namespace hipgpt {
namespace {

using Tokens = std::vector<int32_t>;

/// Returns a token file as llm.c's scripts write it.
template <typename Token>
std::string llmc_file(const Tokens& tokens, int32_t magic, int32_t version) {
  std::vector<int32_t> header(256);
  header[0] = magic;
  header[1] = version;
  header[2] = static_cast<int32_t>(tokens.size());
  const std::vector<Token> narrow(tokens.begin(), tokens.end());
  std::string bytes(reinterpret_cast<const char*>(header.data()), 1024);
  return bytes.append(reinterpret_cast<const char*>(narrow.data()), narrow.size() * sizeof(Token));
}

std::string gpt2_file(const Tokens& tokens) {
  return llmc_file<uint16_t>(tokens, 20240520, 1);
}

class TokenShardsTest : public FilesTest {
 protected:
  TokenFile llmc(const std::string& bytes, uint64_t vocab_size = 65536) const {
    write_all(path("shard.bin"), bytes);
    return TokenFile::open_llmc(path("shard.bin"), vocab_size);
  }
  std::string error_with(const std::string& bytes) const {
    return error_of([&] { llmc(bytes); });
  }

  TokenFile own(const Tokens& tokens) const {
    TokenFileWriter writer(path("tokens.bin"), 1000, 0, 0, 0);
    writer.append(tokens);
    writer.commit();
    return TokenFile::open(path("tokens.bin"));
  }

  static Tokens all(const TokenShards& shards) {
    Tokens tokens(shards.size());
    shards.copy(0, tokens.size(), tokens.data());
    return tokens;
  }
};

TEST_F(TokenShardsTest, ReadsTheTokenFilesOfLlmC) {
  EXPECT_EQ(all(llmc(gpt2_file({50256, 0, 65535}))), (Tokens{50256, 0, 65535}));
  EXPECT_EQ(all(llmc(llmc_file<uint32_t>({128000, 7}, 20240801, 7), 128256)), (Tokens{128000, 7}));
  EXPECT_EQ(llmc(gpt2_file({})).size(), 0u);
}

TEST_F(TokenShardsTest, DistinguishesTokenFilesOfLlmCFromTexts) {
  const auto is_llmc = TokenFile::is_llmc;
  EXPECT_TRUE(is_llmc(gpt2_file({1})));
  EXPECT_TRUE(is_llmc(llmc_file<uint32_t>({1}, 20240801, 7)));
  EXPECT_TRUE(is_llmc(gpt2_file({1}).substr(0, 10)));  // must not count as a text
  EXPECT_FALSE(is_llmc("To be, or not to be"));
  EXPECT_FALSE(is_llmc("To"));
  EXPECT_FALSE(is_llmc(""));
}

TEST_F(TokenShardsTest, RefusesDamagedTokenFilesOfLlmC) {
  const std::string good = gpt2_file({1, 2, 3});
  for (size_t length = 0; length < good.size(); ++length) {
    const char* expected = length < 4      ? "not a token file of llm.c"
                           : length < 1024 ? "ends within its header"
                                           : "for 3 tokens of 2 bytes each";
    EXPECT_TRUE(says(error_with(good.substr(0, length)), expected)) << length;
  }
  EXPECT_TRUE(says(error_with(good + "x"), "7 bytes for 3 tokens of 2 bytes each"));
  EXPECT_TRUE(says(error_with(llmc_file<uint16_t>({1}, 20240520, 2)), "version is 2 instead of 1"));
  std::string negative = good;
  negative[11] = '\xFF';
  EXPECT_TRUE(says(error_with(negative), "number of tokens is -"));
}

TEST_F(TokenShardsTest, AnIdOutsideTheVocabularyIsFoundWhenItIsRead) {
  const TokenFile file = llmc(gpt2_file({1, 299, 300, 2}), 300);
  Tokens out(4);
  file.copy(0, 2, out.data());
  EXPECT_TRUE(
      says(error_of([&] { file.copy(1, 3, out.data()); }), "has token 300 between positions 1 and 4"));
  const TokenFile wide = llmc(llmc_file<uint32_t>({-1}, 20240801, 7), 300);
  EXPECT_TRUE(says(error_of([&] { wide.copy(0, 1, out.data()); }), "has token 4294967295"));
}

TEST_F(TokenShardsTest, AreOneSequenceWithoutBorders) {
  Tokens tokens(30);
  std::iota(tokens.begin(), tokens.end(), 0);
  const auto part = [&](int begin, int end) { return Tokens(tokens.begin() + begin, tokens.begin() + end); };
  const TokenShards shards(
      {llmc(gpt2_file(part(0, 7))), llmc(gpt2_file({})), own(part(7, 8)), llmc(gpt2_file(part(8, 30)))});
  ASSERT_EQ(shards.size(), 30u);
  for (size_t first = 0; first <= 30; ++first) {
    for (size_t count = 0; first + count <= 30; ++count) {
      Tokens out(count);
      shards.copy(first, count, out.data());
      EXPECT_EQ(out, part(static_cast<int>(first), static_cast<int>(first + count)));
    }
  }
  Tokens out(31);
  EXPECT_TRUE(says(error_of([&] { shards.copy(0, 31, out.data()); }), "cannot read 31 tokens from token 0"));
  EXPECT_TRUE(says(error_of([&] { shards.copy(31, 0, out.data()); }), "cannot read"));
  EXPECT_TRUE(says(error_of([&] { shards.copy(1, SIZE_MAX, out.data()); }), "cannot read"));
}

TEST_F(TokenShardsTest, GiveTheBatchesOfOneFile) {
  Tokens tokens(500);
  std::iota(tokens.begin(), tokens.end(), 0);
  const TokenShards shards(
      {own({tokens.begin(), tokens.begin() + 123}), llmc(gpt2_file({tokens.begin() + 123, tokens.end()}))});
  const TokenShards whole(own(tokens));
  const DataLoader one(whole, 10, 490, 8, 16, 3), other(shards, 10, 490, 8, 16, 3);
  Tokens inputs(128), targets(128), other_inputs(128), other_targets(128);
  for (uint64_t k = 0; k < 50; ++k) {
    one.random_batch(k, inputs.data(), targets.data());
    other.random_batch(k, other_inputs.data(), other_targets.data());
    EXPECT_EQ(inputs, other_inputs);
    EXPECT_EQ(targets, other_targets);
  }
}

TEST_F(TokenShardsTest, TheSampleHashDistinguishesOtherTokens) {
  Tokens tokens(100'000, 5);
  const uint64_t hash = llmc(gpt2_file(tokens)).sample_hash();
  EXPECT_EQ(llmc(gpt2_file(tokens)).sample_hash(), hash);
  for (const size_t changed : {size_t{0}, size_t{2047}, size_t{50'176}}) {
    Tokens others = tokens;
    others[changed] = 6;
    EXPECT_NE(llmc(gpt2_file(others)).sample_hash(), hash) << changed;
  }
  tokens.push_back(5);
  EXPECT_NE(llmc(gpt2_file(tokens)).sample_hash(), hash);
  const TokenFile a = llmc(gpt2_file({1})), b = llmc(gpt2_file({2}));
  EXPECT_NE(TokenShards({a, b}).sample_hash(), TokenShards({b, a}).sample_hash());
}

}  // namespace
}  // namespace hipgpt
