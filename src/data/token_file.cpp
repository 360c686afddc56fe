#include "token_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "error.h"
#include "util/atomic_file.h"
#include "util/mapped_file.h"
#include "util/number_text.h"

namespace hipgpt {
namespace {

static_assert(std::endian::native == std::endian::little,
              "token files are little-endian and copied without conversion");

constexpr char kMagic[8] = {'H', 'I', 'P', 'G', 'P', 'T', 'O', 'K'};
constexpr uint32_t kVersion = 1;
constexpr uint64_t kLargestVocabulary = uint64_t{1} << 31;  // ids are int32
constexpr const char* kRemedy = "delete it and train again";

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t token_bytes;  // 2: uint16, 4: uint32
  uint64_t count;
  uint64_t vocab_size;
  uint64_t tokenizer_hash;
  uint64_t text_hash;
  uint64_t text_bytes;
  uint64_t token_checksum;   // of the bytes after the header
  uint64_t header_checksum;  // of the bytes before this field
};
static_assert(sizeof(Header) == 72);

uint64_t header_checksum(const Header& header) {
  return XXH3_64bits(&header, offsetof(Header, header_checksum));
}

uint32_t token_bytes_for(uint64_t vocab_size) {
  return vocab_size <= 65536 ? 2 : 4;
}

[[noreturn]] void fail(const std::string& path, const std::string& fault) {
  throw Error(fmt::format("{}: {}; {}", path, fault, kRemedy));
}

/// Returns a file's header after the checks that need only the header itself.
Header read_header(const std::string& path, std::span<const std::byte> bytes) {
  const size_t magic_bytes = std::min(bytes.size(), sizeof(kMagic));
  if (magic_bytes == 0) fail(path, "empty file");
  if (std::memcmp(bytes.data(), kMagic, magic_bytes) != 0) fail(path, "not a token file of HipGPT");
  if (bytes.size() < sizeof(Header)) fail(path, "damaged (it ends within the header)");
  Header header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  // The version comes before the checksum: a later format may place its checksum elsewhere.
  if (header.version > kVersion) {
    throw Error(
        fmt::format("{}: written by a newer HipGPT (format {}, this one reads {}); update HipGPT, or {}",
                    path, header.version, kVersion, kRemedy));
  }
  if (header.version < kVersion) fail(path, fmt::format("damaged (format {} never existed)", header.version));
  if (header.header_checksum != header_checksum(header)) {
    fail(path, "damaged (checksum of the header does not match)");
  }
  return header;
}

/// A valid checksum proves only that the header is unchanged. Another program may have written it, so its
/// fields are checked too.
void check_fields(const std::string& path, const Header& header, uint64_t file_bytes) {
  if (header.vocab_size == 0 || header.vocab_size > kLargestVocabulary) {
    fail(path, fmt::format("damaged (a vocabulary of {})", counted(header.vocab_size, "token")));
  }
  if (header.token_bytes != token_bytes_for(header.vocab_size)) {
    fail(path, fmt::format("damaged ({} per token, but a vocabulary of {} takes {})",
                           counted(header.token_bytes, "byte"), header.vocab_size,
                           token_bytes_for(header.vocab_size)));
  }
  const uint64_t present = (file_bytes - sizeof(Header)) / header.token_bytes;
  if (present < header.count) {
    fail(path, fmt::format("truncated ({} of {} present)", present, counted(header.count, "token")));
  }
  const uint64_t extra = file_bytes - sizeof(Header) - header.count * header.token_bytes;
  if (extra > 0) fail(path, fmt::format("damaged ({} after the last token)", counted(extra, "byte")));
}

template <typename Token>
uint64_t largest(const void* tokens, size_t count) {
  const Token* first = static_cast<const Token*>(tokens);
  Token result = 0;
  for (size_t i = 0; i < count; ++i) result = std::max(result, first[i]);
  return result;
}

/// Copies tokens as int32 and returns the largest.
template <typename Token>
uint64_t copy_tokens(const Token* tokens, size_t count, int32_t* out) {
  Token result = 0;
  for (size_t i = 0; i < count; ++i) {
    result = std::max(result, tokens[i]);
    out[i] = static_cast<int32_t>(tokens[i]);
  }
  return result;
}

/// Checks the tokens' checksum and range. Works in pieces so that the second read finds each piece in the
/// cache.
void check_tokens(const std::string& path, const Header& header, const std::byte* tokens) {
  constexpr size_t kPieceTokens = size_t{1} << 17;
  XXH3_state_t hash;
  XXH3_64bits_reset(&hash);
  uint64_t largest_id = 0;
  for (size_t i = 0; i < header.count; i += kPieceTokens) {
    const size_t count = std::min<size_t>(kPieceTokens, header.count - i);
    const std::byte* piece = tokens + i * header.token_bytes;
    XXH3_64bits_update(&hash, piece, count * header.token_bytes);
    largest_id = std::max(largest_id, header.token_bytes == 2 ? largest<uint16_t>(piece, count)
                                                              : largest<uint32_t>(piece, count));
  }
  if (XXH3_64bits_digest(&hash) != header.token_checksum) {
    fail(path, "damaged (checksum of the tokens does not match the header)");
  }
  if (header.count > 0 && largest_id >= header.vocab_size) {
    fail(path, fmt::format("damaged (token {} in a vocabulary of {})", largest_id, header.vocab_size));
  }
}

}  // namespace

TokenFile TokenFile::open(const std::string& path, Check check) {
  const auto file = std::make_shared<MappedFile>(path, MappedFile::Access::kSequential);
  const Header header = read_header(path, file->bytes());
  check_fields(path, header, file->bytes().size());
  const std::byte* tokens = file->bytes().data() + sizeof(Header);
  if (check == Check::kAll) check_tokens(path, header, tokens);
  file->advise(MappedFile::Access::kRandom);

  TokenFile result(path, file, tokens, header.count, header.token_bytes, header.vocab_size);
  result.tokenizer_hash_ = header.tokenizer_hash;
  result.text_hash_ = header.text_hash;
  result.text_bytes_ = header.text_bytes;
  result.header_checksum_ = header.header_checksum;
  return result;
}

void TokenFile::copy(size_t first, size_t count, int32_t* out) const {
  if (first > count_ || count > count_ - first) {
    throw Error(fmt::format("{}: cannot read {} from token {} on; it has {}", path_, counted(count, "token"),
                            first, count_));
  }
  const uint64_t largest = token_bytes_ == 2
                               ? copy_tokens(static_cast<const uint16_t*>(tokens_) + first, count, out)
                               : copy_tokens(static_cast<const uint32_t*>(tokens_) + first, count, out);
  if (count > 0 && largest >= vocab_size_) {
    throw Error(fmt::format(
        "{}: has token {} between positions {} and {}, outside the vocabulary of {}; it is damaged "
        "or belongs to another tokenizer",
        path_, largest, first, first + count, vocab_size_));
  }
}

uint64_t TokenFile::sample_hash() const {
  constexpr size_t kPieces = 64, kPieceBytes = 4096;
  const std::string_view bytes(static_cast<const char*>(tokens_), count_ * token_bytes_);
  XXH3_state_t hash;
  XXH3_64bits_reset(&hash);
  const uint64_t facts[] = {count_, token_bytes_};
  XXH3_64bits_update(&hash, facts, sizeof facts);
  const size_t step = std::max(kPieceBytes, (bytes.size() / kPieces / kPieceBytes + 1) * kPieceBytes);
  for (size_t begin = 0; begin < bytes.size(); begin += step) {
    const std::string_view piece = bytes.substr(begin, kPieceBytes);
    XXH3_64bits_update(&hash, piece.data(), piece.size());
  }
  return XXH3_64bits_digest(&hash);
}

struct TokenFileWriter::State {
  std::string path;
  AtomicFile file;
  Header header;
  XXH3_state_t hash;
  std::vector<std::byte> piece;

  explicit State(const std::string& file_path) : path(file_path), file(file_path) {
    XXH3_64bits_reset(&hash);
  }

  /// Checks the tokens of a piece, narrows, hashes and writes them.
  template <typename Token>
  void append(std::span<const int32_t> tokens) {
    piece.resize(tokens.size() * sizeof(Token));
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i] < 0 || static_cast<uint64_t>(tokens[i]) >= header.vocab_size) {
        throw Error(
            fmt::format("{}: token {} is outside the vocabulary of {}; use the tokenizer that made it", path,
                        tokens[i], header.vocab_size));
      }
      const Token token = static_cast<Token>(tokens[i]);
      std::memcpy(piece.data() + i * sizeof(Token), &token, sizeof(Token));
    }
    XXH3_64bits_update(&hash, piece.data(), piece.size());
    file.write(piece);
    header.count += tokens.size();
  }
};

TokenFileWriter::TokenFileWriter(const std::string& path, uint64_t vocab_size, uint64_t tokenizer_hash,
                                 uint64_t text_hash, uint64_t text_bytes) {
  if (vocab_size == 0 || vocab_size > kLargestVocabulary) {
    throw Error(fmt::format("{}: the vocabulary has {}; it must have 1 to {}", path,
                            counted(vocab_size, "token"), kLargestVocabulary));
  }
  state_ = std::make_unique<State>(path);
  Header& header = state_->header;
  header = {};
  std::copy(std::begin(kMagic), std::end(kMagic), header.magic);
  header.version = kVersion;
  header.token_bytes = token_bytes_for(vocab_size);
  header.vocab_size = vocab_size;
  header.tokenizer_hash = tokenizer_hash;
  header.text_hash = text_hash;
  header.text_bytes = text_bytes;
  state_->file.write(std::as_bytes(std::span(&header, 1)));  // reserves the space until commit()
}

TokenFileWriter::~TokenFileWriter() = default;

void TokenFileWriter::append(std::span<const int32_t> tokens) {
  constexpr size_t kPieceTokens = size_t{1} << 16;
  while (!tokens.empty()) {
    const auto piece = tokens.first(std::min(tokens.size(), kPieceTokens));
    if (state_->header.token_bytes == 2) {
      state_->append<uint16_t>(piece);
    } else {
      state_->append<uint32_t>(piece);
    }
    tokens = tokens.subspan(piece.size());
  }
}

void TokenFileWriter::commit() {
  Header& header = state_->header;
  header.token_checksum = XXH3_64bits_digest(&state_->hash);
  header.header_checksum = header_checksum(header);
  state_->file.overwrite(0, std::as_bytes(std::span(&header, 1)));
  state_->file.commit();
}

}  // namespace hipgpt
