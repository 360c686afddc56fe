#include "token_file.h"

#include <cstring>
#include <numeric>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "test_files.h"

namespace hipgpt {
namespace {

using TokenFileTest = FilesTest;

// Offsets of the header's fields, as src/data/details.md lists them.
constexpr size_t kVersionAt = 8, kTokenBytesAt = 12, kCountAt = 16, kVocabSizeAt = 24, kTokenizerHashAt = 32,
                 kTextHashAt = 40, kTextBytesAt = 48, kTokenChecksumAt = 56, kHeaderChecksumAt = 64,
                 kHeaderBytes = 72;

void write_tokens(const std::string& path, uint64_t vocab_size, std::span<const int32_t> tokens) {
  TokenFileWriter writer(path, vocab_size, 0x1111, 0x2222, 0x3333);
  writer.append(tokens);
  writer.commit();
}

std::vector<int32_t> read_tokens(const std::string& path) {
  const TokenFile file = TokenFile::open(path);
  std::vector<int32_t> tokens(file.size());
  file.copy(0, tokens.size(), tokens.data());
  return tokens;
}

template <typename T>
T value_at(const std::string& bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

template <typename T>
void put(std::string& bytes, size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof(T));
}

/// Corrects both checksums, as a careful forger or a buggy writer would.
void seal(std::string& bytes) {
  put(bytes, kTokenChecksumAt,
      uint64_t{XXH3_64bits(bytes.data() + kHeaderBytes, bytes.size() - kHeaderBytes)});
  put(bytes, kHeaderChecksumAt, uint64_t{XXH3_64bits(bytes.data(), kHeaderChecksumAt)});
}

class DamagedTokenFileTest : public FilesTest {
 protected:
  DamagedTokenFileTest() {
    write_tokens(path("good"), 300, std::vector<int32_t>{0, 1, 2, 299, 4, 5});
    good_ = read_all(path("good"));
  }

  std::string error_with(const std::string& bytes) const {
    write_all(path("bad"), bytes);
    return error_of([&] { TokenFile::open(path("bad")); });
  }

  template <typename T>
  std::string error_with_field(size_t at, T value) const {
    std::string bytes = good_;
    put(bytes, at, value);
    seal(bytes);
    return error_with(bytes);
  }

  std::string good_;
};

TEST_F(TokenFileTest, ReturnsWhatWasWritten) {
  std::vector<int32_t> tokens(200'000);
  std::iota(tokens.begin(), tokens.end(), 0);
  for (const uint64_t vocab_size : {uint64_t{200'000}, uint64_t{1} << 31}) {
    write_tokens(path("t"), vocab_size, tokens);
    EXPECT_TRUE(read_tokens(path("t")) == tokens);
  }
  const TokenFile file = TokenFile::open(path("t"));
  EXPECT_EQ(file.size(), tokens.size());
  EXPECT_EQ(file[199'999], 199'999);
  EXPECT_EQ(file.vocab_size(), uint64_t{1} << 31);
  EXPECT_EQ(file.text_bytes(), 0x3333u);
}

TEST_F(TokenFileTest, UsesTwoBytesPerTokenWhereTheySuffice) {
  const std::vector<int32_t> tokens = {0, 65535, 7};
  write_tokens(path("small"), 65536, tokens);
  write_tokens(path("large"), 65537, tokens);
  EXPECT_EQ(std::filesystem::file_size(path("small")), kHeaderBytes + 2 * tokens.size());
  EXPECT_EQ(std::filesystem::file_size(path("large")), kHeaderBytes + 4 * tokens.size());
  EXPECT_EQ(read_tokens(path("small")), tokens);
  EXPECT_EQ(read_tokens(path("large")), tokens);
  EXPECT_EQ(TokenFile::open(path("small"))[1], 65535);
  EXPECT_EQ(TokenFile::open(path("large"))[1], 65535);
}

TEST_F(TokenFileTest, HasTheLayoutOfTheReadme) {
  write_tokens(path("t"), 300, std::vector<int32_t>{258, 3});
  const std::string bytes = read_all(path("t"));
  ASSERT_EQ(bytes.size(), kHeaderBytes + 4);
  EXPECT_EQ(bytes.substr(0, 8), "HIPGPTOK");
  EXPECT_EQ(value_at<uint32_t>(bytes, kVersionAt), 1u);
  EXPECT_EQ(value_at<uint32_t>(bytes, kTokenBytesAt), 2u);
  EXPECT_EQ(value_at<uint64_t>(bytes, kCountAt), 2u);
  EXPECT_EQ(value_at<uint64_t>(bytes, kVocabSizeAt), 300u);
  EXPECT_EQ(value_at<uint64_t>(bytes, kTokenizerHashAt), 0x1111u);
  EXPECT_EQ(value_at<uint64_t>(bytes, kTextHashAt), 0x2222u);
  EXPECT_EQ(value_at<uint64_t>(bytes, kTextBytesAt), 0x3333u);
  EXPECT_EQ(bytes.substr(kHeaderBytes), std::string("\x02\x01\x03\x00", 4));
  std::string sealed = bytes;
  seal(sealed);
  EXPECT_EQ(sealed, bytes);
}

TEST_F(TokenFileTest, PiecesMakeTheSameFileAsTheWhole) {
  std::vector<int32_t> tokens(150'001);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(i * i % 5000);
  write_tokens(path("whole"), 5000, tokens);
  TokenFileWriter writer(path("pieces"), 5000, 0x1111, 0x2222, 0x3333);
  std::span<const int32_t> rest = tokens;
  for (size_t size = 0; !rest.empty(); size = size * 2 + 1) {
    const auto piece = rest.first(std::min(size, rest.size()));
    writer.append(piece);
    rest = rest.subspan(piece.size());
  }
  writer.commit();
  EXPECT_TRUE(read_all(path("pieces")) == read_all(path("whole")));
}

TEST_F(TokenFileTest, MayHoldNoTokens) {
  write_tokens(path("t"), 300, {});
  EXPECT_EQ(TokenFile::open(path("t")).size(), 0u);
}

TEST_F(TokenFileTest, KnowsWhereItCameFrom) {
  write_tokens(path("t"), 300, {});
  const TokenFile file = TokenFile::open(path("t"));
  EXPECT_TRUE(file.matches(0x1111, file.vocab_size(), 0x2222));
  EXPECT_FALSE(file.matches(0x1110, file.vocab_size(), 0x2222));
  EXPECT_FALSE(file.matches(0x1111, file.vocab_size(), 0x2223));
  EXPECT_FALSE(file.matches(0x1111, file.vocab_size() + 1, 0x2222));
  EXPECT_FALSE(file.matches(0x1111, file.vocab_size() - 1, 0x2222));
}

TEST_F(TokenFileTest, CopyStaysWithinTheFile) {
  write_tokens(path("t"), 300, std::vector<int32_t>{10, 11, 12});
  const TokenFile file = TokenFile::open(path("t"));
  std::vector<int32_t> out(3, -1);
  file.copy(1, 2, out.data());
  EXPECT_EQ(out, (std::vector<int32_t>{11, 12, -1}));
  file.copy(3, 0, out.data());
  EXPECT_TRUE(says(error_of([&] { file.copy(2, 2, out.data()); }), "cannot read"));
  EXPECT_TRUE(says(error_of([&] { file.copy(4, 0, out.data()); }), "cannot read"));
  EXPECT_TRUE(says(error_of([&] { file.copy(1, SIZE_MAX, out.data()); }), "cannot read"));
}

TEST_F(TokenFileTest, StaysReadableWhileItIsReplaced) {
  write_tokens(path("t"), 300, std::vector<int32_t>{1, 2, 3});
  const TokenFile old = TokenFile::open(path("t"));
  write_tokens(path("t"), 300, std::vector<int32_t>{9});
  EXPECT_EQ(old[2], 3);
  EXPECT_EQ(read_tokens(path("t")), std::vector<int32_t>{9});
}

TEST_F(TokenFileTest, TheWriterRefusesIdsThatAreNotTokens) {
  write_tokens(path("t"), 300, std::vector<int32_t>{1});
  const auto error = [&](int32_t token) {
    return error_of([&] { write_tokens(path("t"), 300, {{token}}); });
  };
  EXPECT_TRUE(says(error(300), "token 300 is outside the vocabulary of 300"));
  EXPECT_TRUE(says(error(-1), "token -1 is outside"));
  EXPECT_TRUE(says(error_of([&] { TokenFileWriter(path("t"), 0, 0, 0, 0); }), "the vocabulary has 0 tokens"));
  EXPECT_TRUE(
      says(error_of([&] { TokenFileWriter(path("t"), (uint64_t{1} << 31) + 1, 0, 0, 0); }), "vocabulary"));
  EXPECT_EQ(read_tokens(path("t")), std::vector<int32_t>{1});
  EXPECT_EQ(files_in_folder(), 1u);
}

TEST_F(DamagedTokenFileTest, EveryFlippedBitIsNoticed) {
  for (size_t bit = 0; bit < 8 * good_.size(); ++bit) {
    std::string bytes = good_;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    const size_t at = bit / 8;
    const char* expected = at < kVersionAt      ? "not a token file"
                           : at < kTokenBytesAt ? "format"
                           : at < kHeaderBytes  ? "checksum of the header"
                                                : "checksum of the tokens";
    EXPECT_TRUE(says(error_with(bytes), expected)) << "bit " << bit % 8 << " of byte " << at;
  }
}

/// A file that was checked before is opened without checking its tokens again, so the ids are checked as they
/// are read.
TEST_F(DamagedTokenFileTest, IdsOutsideTheVocabularyAreRefusedEvenWithoutTheCheck) {
  int refused = 0;
  for (size_t bit = 8 * kHeaderBytes; bit < 8 * good_.size(); ++bit) {
    std::string bytes = good_;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    write_all(path("bad"), bytes);
    const TokenFile file = TokenFile::open(path("bad"), TokenFile::Check::kHeader);
    std::vector<int32_t> tokens(file.size());
    const std::string error = error_of([&] { file.copy(0, tokens.size(), tokens.data()); });
    if (error.empty()) {
      for (const int32_t token : tokens) EXPECT_LT(token, 300);
    } else {
      EXPECT_TRUE(says(error, "outside the vocabulary of 300"));
      ++refused;
    }
  }
  EXPECT_GT(refused, 0);
}

TEST_F(DamagedTokenFileTest, EveryTruncationIsNoticed) {
  for (size_t length = 0; length < good_.size(); ++length) {
    const char* expected = length == 0             ? "empty file"
                           : length < kHeaderBytes ? "ends within the header"
                                                   : "truncated";
    EXPECT_TRUE(says(error_with(good_.substr(0, length)), expected)) << "length " << length;
  }
}

TEST_F(DamagedTokenFileTest, TrailingBytesAreNoticed) {
  EXPECT_TRUE(says(error_with(good_ + '\0'), "1 byte after the last token"));
  EXPECT_TRUE(says(error_with(good_ + std::string(2, '\0')), "2 bytes after the last token"));
}

TEST_F(DamagedTokenFileTest, ForeignFilesAreNamedAsSuch) {
  EXPECT_TRUE(says(error_with("\x89PNG\r\n\x1a\n and so on"),
                   "not a token file of HipGPT; delete it and train again"));
  EXPECT_TRUE(says(error_with(std::string(1000, '\0')), "not a token file"));
  EXPECT_TRUE(says(error_of([&] { TokenFile::open(folder_); }), "is a folder"));
  EXPECT_TRUE(says(error_of([&] { TokenFile::open(path("missing")); }), "no such file"));
}

TEST_F(DamagedTokenFileTest, ALaterVersionIsNotCalledDamaged) {
  std::string bytes = good_;
  put(bytes, kVersionAt, uint32_t{2});
  EXPECT_TRUE(
      says(error_with(bytes), "written by a newer HipGPT (format 2, this one reads 1); update HipGPT"));
  EXPECT_TRUE(says(error_with_field(kVersionAt, uint32_t{0}), "format 0 never existed"));
}

TEST_F(DamagedTokenFileTest, FieldsAreCheckedEvenWhereTheChecksumsAreRight) {
  EXPECT_TRUE(says(error_with_field(kTokenBytesAt, uint32_t{0}), "0 bytes per token"));
  EXPECT_TRUE(says(error_with_field(kTokenBytesAt, uint32_t{4}), "4 bytes per token"));
  EXPECT_TRUE(says(error_with_field(kCountAt, uint64_t{7}), "truncated (6 of 7 tokens present)"));
  EXPECT_TRUE(says(error_with_field(kCountAt, uint64_t{5}), "2 bytes after"));
  EXPECT_TRUE(
      says(error_with_field(kCountAt, (uint64_t{1} << 63) + 6), "truncated"));  // times 2, it wraps to 12
  EXPECT_TRUE(says(error_with_field(kCountAt, UINT64_MAX), "truncated"));
  EXPECT_TRUE(says(error_with_field(kVocabSizeAt, uint64_t{0}), "a vocabulary of 0"));
  EXPECT_TRUE(says(error_with_field(kVocabSizeAt, uint64_t{1} << 40), "a vocabulary of"));
  EXPECT_TRUE(says(error_with_field(kVocabSizeAt, uint64_t{70'000}), "2 bytes per token"));
  EXPECT_TRUE(says(error_with_field(kVocabSizeAt, uint64_t{299}), "token 299 in a vocabulary of 299"));
  EXPECT_EQ(error_with_field(kTokenizerHashAt, uint64_t{5}), "");
}

}  // namespace
}  // namespace hipgpt
