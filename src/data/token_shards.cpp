#include "token_shards.h"

#include <fmt/format.h>

#include <algorithm>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "error.h"
#include "util/number_text.h"

namespace hipgpt {

TokenShards::TokenShards(std::vector<TokenFile> files) : files_(std::move(files)) {
  size_t end = 0;
  for (const TokenFile& file : files_) ends_.push_back(end += file.size());
}

std::string TokenShards::name() const {
  if (files_.size() == 1) return files_.front().path();
  return files_.empty() ? "no token file"
                        : fmt::format("{} to {}", files_.front().path(), files_.back().path());
}

void TokenShards::copy(size_t first, size_t count, int32_t* out) const {
  if (first > size() || count > size() - first) {
    throw Error(fmt::format("{}: cannot read {} from token {} on; it has {}", name(), counted(count, "token"),
                            first, size()));
  }
  auto file = static_cast<size_t>(std::ranges::upper_bound(ends_, first) - ends_.begin());
  for (; count > 0; ++file) {
    const size_t here = std::min(count, ends_[file] - first);
    files_[file].copy(first - (ends_[file] - files_[file].size()), here, out);
    first += here;
    out += here;
    count -= here;
  }
}

uint64_t TokenShards::sample_hash() const {
  std::vector<uint64_t> hashes;
  for (const TokenFile& file : files_) hashes.push_back(file.sample_hash());
  return XXH3_64bits(hashes.data(), hashes.size() * sizeof(uint64_t));
}

}  // namespace hipgpt
