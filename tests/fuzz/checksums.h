// Corrects the checksums of changed files, because wrong ones would keep the code behind them from being
// reached. src/checkpoint/README.md and src/data/details.md describe the layouts.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace hipgpt::fuzz {

inline constexpr size_t kDigits = 16;  // digits of a hash in JSON

/// Replaces the digits that follow `before`, if they are there.
inline void put_digits(std::string& bytes, std::string_view before, uint64_t hash) {
  const size_t at = bytes.find(before);
  if (at == std::string::npos || at + before.size() + kDigits > bytes.size()) return;
  bytes.replace(at + before.size(), kDigits, fmt::format("{:016x}", hash));
}

/// Returns the offset of the tensors in a safetensors file, or the file's size if it is too short.
inline size_t head_bytes(std::string_view file) {
  uint64_t length = 0;
  if (file.size() < sizeof length) return file.size();
  std::memcpy(&length, file.data(), sizeof length);
  return sizeof length + std::min<uint64_t>(length, file.size() - sizeof length);
}

inline uint64_t tensors_hash(std::string_view file) {
  const std::string_view data = file.substr(head_bytes(file));
  return XXH3_64bits(data.data(), data.size());
}

/// Corrects both checksums. A file that lacks one of them stays unchanged.
inline std::string with_safetensors_checksums(std::string file) {
  constexpr std::string_view kOfData = "\"checksum\":\"xxh3-64:",
                             kOfHeader = "\"header_checksum\":\"xxh3-64:";
  std::string head = file.substr(0, head_bytes(file));
  if (head.find(kOfData) == std::string::npos || head.find(kOfHeader) == std::string::npos) return file;
  put_digits(head, kOfData, tensors_hash(file));
  put_digits(head, kOfHeader, 0);
  put_digits(head, kOfHeader, XXH3_64bits(head.data(), head.size()));
  return file.replace(0, head.size(), head);
}

/// Corrects the checksums of a tokens.bin.
inline std::string with_token_checksums(std::string file) {
  constexpr size_t kHeaderBytes = 72, kOfTokens = 56, kOfHeader = 64;
  if (file.size() < kHeaderBytes) return file;
  const auto put = [&](size_t at, uint64_t value) { std::memcpy(file.data() + at, &value, sizeof value); };
  put(kOfTokens, XXH3_64bits(file.data() + kHeaderBytes, file.size() - kHeaderBytes));
  put(kOfHeader, XXH3_64bits(file.data(), kOfHeader));
  return file;
}

}  // namespace hipgpt::fuzz
