// Reads token files of other programs: those that llm.c's scripts in dev/data write, with a header of 256
// int32 (magic, version, number of tokens, zeros) before the tokens, and ids without a header, as nanoGPT has
// them.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "error.h"
#include "token_file.h"
#include "util/mapped_file.h"
#include "util/number_text.h"
#include "util/parameter.h"

namespace hipgpt {
namespace {

using Header = std::array<int32_t, 256>;

struct Kind {
  int32_t magic, version;
  uint32_t token_bytes;
};
constexpr Kind kKinds[] = {{20240520, 1, 2},   // GPT-2
                           {20240801, 7, 4}};  // Llama 3

const Kind* kind_of(std::string_view bytes) {
  int32_t magic = 0;
  if (bytes.size() >= sizeof magic) std::memcpy(&magic, bytes.data(), sizeof magic);
  const auto* kind = std::ranges::find(kKinds, magic, &Kind::magic);
  return kind == std::end(kKinds) ? nullptr : kind;
}

[[noreturn]] void fail(const std::string& path, const std::string& fault) {
  throw Error(fmt::format("{}: looks like a token file of llm.c, but {}; create it again", path, fault));
}

/// Returns the number of tokens, which must agree with the file's size.
size_t read_count(const std::string& path, std::span<const std::byte> bytes, const Kind& kind) {
  Header header;
  if (bytes.size() < sizeof header) fail(path, "ends within its header of 1024 bytes");
  std::memcpy(header.data(), bytes.data(), sizeof header);
  if (header[1] != kind.version) {
    fail(path, fmt::format("its version is {} instead of {}", header[1], kind.version));
  }
  if (header[2] < 0) fail(path, fmt::format("its number of tokens is {}", header[2]));
  const auto count = static_cast<size_t>(header[2]);
  const size_t present = bytes.size() - sizeof header;
  if (present != count * kind.token_bytes) {
    fail(path, fmt::format("it has {} for {} of {} each", counted(present, "byte"), counted(count, "token"),
                           counted(kind.token_bytes, "byte")));
  }
  return count;
}

}  // namespace

bool TokenFile::is_llmc(std::string_view bytes) {
  return kind_of(bytes) != nullptr;
}

TokenFile TokenFile::open_llmc(const std::string& path, uint64_t vocab_size) {
  const auto file = std::make_shared<MappedFile>(path, MappedFile::Access::kRandom);
  const Kind* kind = kind_of(file->text());
  if (kind == nullptr) throw Error(fmt::format("{}: is not a token file of llm.c", path));
  const size_t count = read_count(path, file->bytes(), *kind);
  return {path, file, file->bytes().data() + sizeof(Header), count, kind->token_bytes, vocab_size};
}

TokenFile TokenFile::open_headerless(const std::string& path, uint32_t token_bytes, uint64_t vocab_size) {
  const auto file = std::make_shared<MappedFile>(path, MappedFile::Access::kRandom);
  const size_t size = file->bytes().size();
  if (size % token_bytes != 0) {
    throw Error(
        fmt::format("{}: has {}, which is not a whole number of ids of {} bytes; create it again, "
                    "or give another {}",
                    path, counted(size, "byte"), token_bytes, Parameter::kTokens));
  }
  return {path, file, file->bytes().data(), size / token_bytes, token_bytes, vocab_size};
}

}  // namespace hipgpt
