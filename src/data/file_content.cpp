#include "data/file_content.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "error.h"
#include "util/parameter.h"

namespace hipgpt {

namespace {

using namespace std::string_view_literals;

/// A format, the bytes at `offset` that its files have, and what to do with such a file.
struct Format {
  size_t offset;
  std::string_view magic, name, remedy;
};

constexpr auto kUnpack = "unpack it and name the texts in it"sv;
constexpr auto kExtract = "extract its text first"sv;
constexpr auto kLeaveOut = "remove it from the folder, or name the texts with a pattern such as '*.txt'"sv;
constexpr auto kToIds = "write its ids with .astype('uint16').tofile()"sv;
constexpr auto kToText = "export its text column to a text file"sv;

constexpr Format kFormats[] = {
    {0, "\x1F\x8B\x08"sv, "a gzip file", kUnpack},
    {0, "BZh"sv, "a bzip2 file", kUnpack},  // see is_format()
    {0, "\xFD\x37zXZ\0"sv, "an xz file", kUnpack},
    {0, "\x28\xB5\x2F\xFD"sv, "a zstd file", kUnpack},
    {0, "\x04\x22\x4D\x18"sv, "an lz4 file", kUnpack},
    {0, "PK\3\4"sv, "a zip archive (such as .docx, .epub and .npz)", kUnpack},
    {0, "7z\xBC\xAF\x27\x1C"sv, "a 7z archive", kUnpack},
    {0, "Rar!\x1A\x07"sv, "a rar archive", kUnpack},
    {257, "ustar"sv, "a tar archive", kUnpack},
    {0, "%PDF-"sv, "a PDF", kExtract},
    {0, "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"sv, "a document of an old Office program", kExtract},
    {0, "\x89PNG\r\n\x1A\n"sv, "a PNG image", kLeaveOut},
    {0, "\xFF\xD8\xFF"sv, "a JPEG image", kLeaveOut},
    {0, "GIF87a"sv, "a GIF image", kLeaveOut},
    {0, "GIF89a"sv, "a GIF image", kLeaveOut},
    {0, "II\x2A\0"sv, "a TIFF image", kLeaveOut},
    {0, "MM\0\x2A"sv, "a TIFF image", kLeaveOut},
    {8, "WEBPVP8"sv, "a WebP image", kLeaveOut},
    {8, "WAVEfmt "sv, "a WAV sound", kLeaveOut},
    {0, "OggS\0"sv, "an Ogg sound", kLeaveOut},
    {0, "fLaC\0"sv, "a FLAC sound", kLeaveOut},
    {0, "\x7F\x45LF"sv, "an ELF program", kLeaveOut},
    {0, "\0asm"sv, "a WebAssembly program", kLeaveOut},
    {0, "\x93NUMPY"sv, "an array of numpy", kToIds},
    {0, "PAR1"sv, "a Parquet table", kToText},  // see is_format()
    {0, "ARROW1\0\0"sv, "an Arrow table", kToText},
    {0, "SQLite format 3\0"sv, "an SQLite database", kToText},
    {0, "\x89HDF\r\n\x1A\n"sv, "an HDF5 file", kToText},
    {0, "GGUF"sv, "a GGUF model", kLeaveOut},  // see is_format()
    {0, "HIPGPTOK"sv, "a token file of HipGPT", "name the text that it was made from"},
};

template <typename Number>
Number number_at(std::string_view bytes, size_t i) {
  Number number = 0;
  std::memcpy(&number, bytes.data() + i, sizeof number);
  return number;
}

/// Whether `bytes` have the format's magic number and, if a text may well begin with that, a second sign.
bool is_format(const Format& format, std::string_view bytes) {
  if (bytes.size() < format.offset || !bytes.substr(format.offset).starts_with(format.magic)) return false;
  if (format.magic == "PAR1") return bytes.size() > 8 && bytes.ends_with("PAR1");
  if (format.magic == "BZh") return bytes.substr(std::min<size_t>(4, bytes.size())).starts_with("1AY&SY");
  if (format.magic == "GGUF") return bytes.size() > 8 && number_at<uint32_t>(bytes, 4) < 256;
  return true;
}

/// safetensors has no magic number, but a JSON object after the length of that object.
bool is_safetensors(std::string_view bytes) {
  return bytes.size() > 10 && bytes.substr(8, 2) == "{\"" &&
         number_at<uint64_t>(bytes, 0) <= bytes.size() - 8;
}

constexpr size_t kSample = size_t{1} << 16;
constexpr size_t kShortest = 512;  // bytes; fewer show too little

bool is_control(uint32_t character) {
  return character < 0x20 && !(character >= '\t' && character <= '\r') && character != 0x1B;
}

template <typename Number>
Number swapped(Number number) {
  auto* bytes = reinterpret_cast<unsigned char*>(&number);
  std::reverse(bytes, bytes + sizeof number);
  return number;
}

/// Whether the sample is a text of characters as wide as Number: mostly ASCII, or words with spaces between
/// them. Token ids are neither.
template <typename Number>
bool is_wide_text(std::string_view sample, bool big_endian) {
  const size_t count = sample.size() / sizeof(Number);
  size_t ascii = 0, spaces = 0, controls = 0;
  for (size_t i = 0; i < count; ++i) {
    auto character = number_at<Number>(sample, i * sizeof(Number));
    if (big_endian) character = swapped(character);
    if (character > 0x10FFFF) return false;
    controls += is_control(character);
    ascii += character < 0x7F && !is_control(character);
    spaces += character == ' ';
  }
  return 200 * controls <= count && (10 * ascii >= 9 * count || 20 * spaces >= count);
}

template <typename Number>
bool are_ids(std::string_view bytes, std::string_view sample, Number vocab_size) {
  if (bytes.size() % sizeof(Number) != 0) return false;
  for (size_t i = 0; i + sizeof(Number) <= sample.size(); i += sizeof(Number)) {
    if (number_at<Number>(sample, i) >= vocab_size) return false;
  }
  return true;
}

}  // namespace

void refuse_known_formats(const std::string& path, std::string_view bytes) {
  const auto* format =
      std::ranges::find_if(kFormats, [&](const Format& format) { return is_format(format, bytes); });
  if (format != std::end(kFormats)) {
    throw Error(fmt::format("{}: is {}, not a text; {}", path, format->name, format->remedy));
  }
  if (is_safetensors(bytes)) {
    throw Error(fmt::format("{}: is a safetensors file, not a text; {}", path, kLeaveOut));
  }
}

FileContent guess_content(std::string_view bytes) {
  if (bytes.starts_with("\xFF\xFE\0\0"sv) || bytes.starts_with("\0\0\xFE\xFF"sv)) return FileContent::kUtf32;
  if (bytes.starts_with("\xFF\xFE"sv) || bytes.starts_with("\xFE\xFF"sv)) return FileContent::kUtf16;
  if (bytes.size() < kShortest) return FileContent::kText;

  const std::string_view sample = bytes.substr(0, kSample);
  const auto controls = std::ranges::count_if(sample, [](unsigned char byte) { return is_control(byte); });
  if (20 * static_cast<size_t>(controls) < sample.size()) return FileContent::kText;
  if (is_wide_text<uint32_t>(sample, false)) return FileContent::kUtf32Le;
  if (is_wide_text<uint32_t>(sample, true)) return FileContent::kUtf32Be;
  if (is_wide_text<uint16_t>(sample, false)) return FileContent::kUtf16Le;
  if (is_wide_text<uint16_t>(sample, true)) return FileContent::kUtf16Be;
  // The vocabularies of GPT-2 and, with room to spare, of newer models. Below 2^18, every second u16 of u32
  // ids is almost 0, which u16 ids never are.
  if (are_ids<uint32_t>(bytes, sample, 1 << 18)) return FileContent::kU32Ids;
  if (are_ids<uint16_t>(bytes, sample, 50257)) return FileContent::kU16Ids;
  return FileContent::kBinary;
}

std::string warning_about(const std::string& path, FileContent content) {
  const auto convert = [&](std::string_view encoding) {
    return fmt::format(
        "{}: looks like {} and is read byte by byte; convert it: iconv -f {} -t UTF-8 {} >{}.utf8", path,
        encoding.substr(0, 6), encoding, path, path);
  };
  const auto ids = [&](std::string_view type) {
    return fmt::format(
        "{}: looks like token ids without a header and is read as text; to train on the ids, give {} "
        "{} and their {}",
        path, Parameter::kTokens, type, Parameter::kTokenizer);
  };
  switch (content) {
    case FileContent::kUtf16: return convert("UTF-16");  // iconv reads the mark and removes it
    case FileContent::kUtf32: return convert("UTF-32");
    case FileContent::kUtf16Le: return convert("UTF-16LE");
    case FileContent::kUtf16Be: return convert("UTF-16BE");
    case FileContent::kUtf32Le: return convert("UTF-32LE");
    case FileContent::kUtf32Be: return convert("UTF-32BE");
    case FileContent::kU16Ids: return ids("u16");
    case FileContent::kU32Ids: return ids("u32");
    case FileContent::kBinary:
      return fmt::format(
          "{}: has too many control characters for a text and is read byte by byte; name another "
          "file if that is not what you want",
          path);
    case FileContent::kText: break;
  }
  return "";
}

}  // namespace hipgpt
