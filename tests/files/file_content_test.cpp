#include "data/file_content.h"

#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "test_files.h"

namespace hipgpt {
namespace {

using namespace std::string_literals;

std::string words() {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "Not sleeping, the king\nlistens. ";
  return text;
}

/// Each byte of `text` as a character of `width` bytes.
std::string widened(const std::string& text, size_t width, bool big_endian) {
  std::string wide;
  for (const char c : text) {
    std::string character(width, '\0');
    character[big_endian ? width - 1 : 0] = c;
    wide += character;
  }
  return wide;
}

template <typename Id>
std::string random_ids(uint32_t vocab_size, size_t count = 4000) {
  std::mt19937 random(1);
  std::string bytes;
  for (size_t i = 0; i < count; ++i) {
    const Id id = static_cast<Id>(random() % vocab_size);
    bytes.append(reinterpret_cast<const char*>(&id), sizeof id);
  }
  return bytes;
}

std::string refusal(const std::string& bytes) {
  return error_of([&] { refuse_known_formats("file", bytes); });
}

TEST(FileContentTest, FormatsThatAreNeverTextAreRefusedByName) {
  const std::pair<std::string, const char*> files[] = {
      {"\x1F\x8B\x08\0\0"s, "gzip"},
      {"BZh91AY&SY..", "bzip2"},
      {"\xFD\x37zXZ\0.."s, "xz"},
      {"\x28\xB5\x2F\xFD..", "zstd"},
      {"PK\3\4..", "zip archive"},
      {std::string(257, 'a') + "ustar", "tar archive"},
      {"%PDF-1.7\n", "PDF"},
      {"\x89PNG\r\n\x1A\n..", "PNG"},
      {"\xFF\xD8\xFF\xE0..", "JPEG"},
      {"GIF89a..", "GIF"},
      {"\x7F\x45LF..", "ELF"},
      {"\x93NUMPY\1\0"s, "array of numpy"},
      {"PAR1......PAR1", "Parquet"},
      {"SQLite format 3\0.."s, "SQLite"},
      {"\x12\0\0\0\0\0\0\0{\"a\":{}}          "s, "safetensors"},
      {"HIPGPTOK\1\0\0\0"s, "token file of HipGPT"},
  };
  for (const auto& [bytes, name] : files) {
    const std::string message = refusal(bytes);
    EXPECT_TRUE(message.starts_with("file: is a") && message.find(name) != std::string::npos)
        << name << ": " << message;
    EXPECT_EQ(refusal(bytes.substr(0, 2)), "") << name;
    EXPECT_EQ(refusal("a" + bytes), "") << name;
  }
}

TEST(FileContentTest, TextThatBeginsLikeAFormatIsText) {
  for (const char* text : {"", "P", "PK is short for penalty kick", "BZh is no word", "PAR1 and PAR2",
                           "GGUF is a format of models", "%PD", "II* and MM", "GIF images"}) {
    EXPECT_EQ(refusal(text), "") << text;
    EXPECT_EQ(guess_content(text), FileContent::kText) << text;
  }
}

TEST(FileContentTest, WideTextIsRecognisedWithAndWithoutItsMark) {
  EXPECT_EQ(guess_content("\xFF\xFE"s), FileContent::kUtf16);
  EXPECT_EQ(guess_content("\xFE\xFF"s), FileContent::kUtf16);
  EXPECT_EQ(guess_content("\xFF\xFE\0\0"s), FileContent::kUtf32);
  EXPECT_EQ(guess_content("\0\0\xFE\xFF"s), FileContent::kUtf32);
  EXPECT_EQ(guess_content(widened(words(), 2, false)), FileContent::kUtf16Le);
  EXPECT_EQ(guess_content(widened(words(), 2, true)), FileContent::kUtf16Be);
  EXPECT_EQ(guess_content(widened(words(), 4, false)), FileContent::kUtf32Le);
  EXPECT_EQ(guess_content(widened(words(), 4, true)), FileContent::kUtf32Be);
  std::string russian;  // words of U+0430 to U+0434, with spaces
  for (int i = 0; i < 600; ++i) {
    russian += i % 6 == 5 ? std::string(" \0", 2) : std::string{static_cast<char>(0x30 + i % 5), '\x04'};
  }
  EXPECT_EQ(guess_content(russian), FileContent::kUtf16Le);
  EXPECT_NE(warning_about("a.txt", FileContent::kUtf16Le).find("iconv -f UTF-16LE -t UTF-8 a.txt"),
            std::string::npos);
}

TEST(FileContentTest, IdsWithoutAHeaderAreRecognised) {
  for (const uint32_t vocab_size : {65u, 300u, 32000u, 50257u}) {
    EXPECT_EQ(guess_content(random_ids<uint16_t>(vocab_size)), FileContent::kU16Ids) << vocab_size;
    EXPECT_EQ(guess_content(random_ids<uint32_t>(vocab_size)), FileContent::kU32Ids) << vocab_size;
  }
  EXPECT_EQ(guess_content(random_ids<uint32_t>(128256)), FileContent::kU32Ids);
  EXPECT_EQ(guess_content(random_ids<uint16_t>(65536)), FileContent::kBinary);
  EXPECT_EQ(guess_content(random_ids<uint16_t>(300) + "x"), FileContent::kBinary);
  EXPECT_NE(warning_about("a", FileContent::kU32Ids).find("u32"), std::string::npos);
}

TEST(FileContentTest, TextInAnyEncodingOfBytesIsText) {
  std::string latin1, utf8, colours;
  for (int i = 0; i < 500; ++i) {
    latin1 += "\xE4\xF6\xFC\xDF ";
    utf8 += "\xE4\xBD\xA0\xE5\xA5\xBD\n";
    colours += "\x1B[31mred\x1B[0m\r\n";
  }
  for (const std::string& text : {words(), latin1, utf8, colours}) {
    EXPECT_EQ(guess_content(text), FileContent::kText);
    EXPECT_EQ(warning_about("a", FileContent::kText), "");
  }
}

}  // namespace
}  // namespace hipgpt
