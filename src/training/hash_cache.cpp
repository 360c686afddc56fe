#include "training/hash_cache.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <ctime>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "error.h"
#include "util/atomic_file.h"
#include "util/files.h"
#include "util/json.h"
#include "util/mapped_file.h"

namespace hipgpt {

namespace {

int64_t nanoseconds(const timespec& time) {
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

FileStamp::FileStamp(const std::vector<std::string>& paths) {
  // Some file systems record times only to two seconds.
  constexpr int64_t kCoarsestClock = 2'000'000'000;
  timespec now;
  ::clock_gettime(CLOCK_REALTIME, &now);
  std::string facts;
  settled = true;
  for (const std::string& path : paths) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) settled = false;
    facts += fmt::format("{} {} {} {} {}\n", status.st_dev, status.st_ino, status.st_size,
                         nanoseconds(status.st_mtim), nanoseconds(status.st_ctim));
    bytes += static_cast<uint64_t>(status.st_size);
    settled = settled && nanoseconds(now) - nanoseconds(status.st_ctim) > kCoarsestClock;
  }
  text = fmt::format("{:016x}", XXH3_64bits(facts.data(), facts.size()));
}

HashCache::HashCache(std::string path) : path_(std::move(path)) {
  if (!file_exists(path_)) return;
  const auto json = try_parse_json(MappedFile(path_, MappedFile::Access::kSequential).text());
  if (!json || !json->is_object()) return;  // a damaged cache counts as empty
  for (const auto& [stamp, value] : json->members()) {
    if (value.is_count()) known_[stamp] = value.as_count();
  }
}

std::optional<uint64_t> HashCache::get(const FileStamp& stamp) const {
  const auto known = known_.find(stamp.text);
  return known == known_.end() ? std::nullopt : std::optional(known->second);
}

void HashCache::put(const FileStamp& stamp, uint64_t value) {
  if (stamp.bytes < kWorthIt || !stamp.settled) return;
  changed_ = changed_ || get(stamp) != value;
  known_[stamp.text] = value;
}

void HashCache::save() {
  if (!changed_) return;
  try {
    JsonValue::Object members;
    for (const auto& [stamp, value] : known_) members.push_back({stamp, value});
    write_file_atomically(path_, JsonValue(std::move(members)).dump(2) + "\n");
    changed_ = false;
  } catch (const Error&) {
    // A run that can write its checkpoints need not fail because of the cache.
  }
}

}  // namespace hipgpt
