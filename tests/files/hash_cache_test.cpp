#include "training/hash_cache.h"

#include "test_files.h"

namespace hipgpt {
namespace {

class HashCacheTest : public FilesTest {
 protected:
  /// Returns the stamp of a large sparse file, which takes no disk space.
  FileStamp large_stamp() const {
    if (!std::filesystem::exists(path("large"))) write_all(path("large"), "");
    std::filesystem::resize_file(path("large"), HashCache::kWorthIt);
    FileStamp stamp({path("large")});
    stamp.settled = true;  // as if the test had waited for it
    return stamp;
  }

  HashCache cache() const { return HashCache(path("known.json")); }
};

TEST_F(HashCacheTest, KeepsHashesFromRunToRun) {
  const FileStamp stamp = large_stamp();
  EXPECT_EQ(stamp.bytes, HashCache::kWorthIt);
  HashCache first = cache();
  EXPECT_EQ(first.get(stamp), std::nullopt);
  first.put(stamp, UINT64_MAX);
  EXPECT_EQ(cache().get(stamp), std::nullopt);
  first.save();
  EXPECT_EQ(cache().get(FileStamp({path("large")})), UINT64_MAX);
}

TEST_F(HashCacheTest, ForgetsAFileThatChanges) {
  HashCache cache = this->cache();
  cache.put(large_stamp(), 1);
  std::fstream(path("large"), std::ios::in | std::ios::out) << 'x';  // same size, same inode
  EXPECT_EQ(cache.get(FileStamp({path("large")})), std::nullopt);
  cache.put(large_stamp(), 2);
  std::filesystem::copy_file(path("large"), path("copy"));
  std::filesystem::rename(path("copy"), path("large"));
  EXPECT_EQ(cache.get(FileStamp({path("large")})), std::nullopt);
}

TEST_F(HashCacheTest, KeepsNothingForSmallOrNewFiles) {
  HashCache cache = this->cache();
  FileStamp fresh = large_stamp();
  fresh.settled = FileStamp({path("large")}).settled;
  EXPECT_FALSE(fresh.settled);
  cache.put(fresh, 1);
  write_all(path("small"), "text");
  FileStamp small({path("small")});
  small.settled = true;
  cache.put(small, 2);
  cache.save();
  EXPECT_EQ(cache.get(fresh), std::nullopt);
  EXPECT_EQ(cache.get(small), std::nullopt);
  EXPECT_FALSE(std::filesystem::exists(path("known.json")));
}

TEST_F(HashCacheTest, ADamagedFileIsAnEmptyCache) {
  const FileStamp stamp = large_stamp();
  for (const char* bytes : {"", "{", "[1]", "{\"a\": -1, \"b\": \"c\"}", "\xFF"}) {
    write_all(path("known.json"), bytes);
    HashCache cache = this->cache();
    EXPECT_EQ(cache.get(stamp), std::nullopt);
    cache.put(stamp, 3);
    cache.save();
    EXPECT_EQ(this->cache().get(stamp), 3u) << bytes;
  }
}

TEST_F(HashCacheTest, AFolderThatCannotBeWrittenIsNotAnError) {
  HashCache cache(path("missing/known.json"));
  cache.put(large_stamp(), 1);
  EXPECT_EQ(error_of([&] { cache.save(); }), "");
}

}  // namespace
}  // namespace hipgpt
