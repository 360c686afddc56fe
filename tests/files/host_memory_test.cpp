#include "util/host_memory.h"

#include "test_files.h"

namespace hipgpt {
namespace {

/// The files of Linux about memory, below a folder.
class HostMemoryTest : public FilesTest {
 protected:
  HostMemoryTest() {
    put("proc/meminfo", "MemTotal:    1000 kB\nMemFree:  10 kB\nMemAvailable:     600 kB\nBuffers:  7 kB\n");
  }
  void put(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    write_all(path(name), text);
  }
  /// The free memory and the total in units of 1,024 bytes.
  std::pair<size_t, size_t> memory() const {
    const HostMemory m = host_memory(folder_.string());
    return {m.free / 1024, m.total / 1024};
  }
  static std::string kib(size_t n) { return std::to_string(1024 * n) + "\n"; }
};

TEST_F(HostMemoryTest, IsThatOfTheMachineWithoutALimit) {
  EXPECT_EQ(memory(), std::pair(600ul, 1000ul));
  put("proc/self/cgroup", "0::/a\n");
  put("sys/fs/cgroup/a/memory.max", "max\n");
  put("sys/fs/cgroup/a/memory.current", kib(999));
  EXPECT_EQ(memory(), std::pair(600ul, 1000ul));
}

TEST_F(HostMemoryTest, EveryGroupOnThePathLimitsItAndCachedFilesAreFree) {
  put("proc/self/cgroup", "0::/a/b\n");
  put("sys/fs/cgroup/a/memory.max", kib(500));
  put("sys/fs/cgroup/a/memory.current", kib(300));
  EXPECT_EQ(memory(), std::pair(200ul, 500ul));
  put("sys/fs/cgroup/a/memory.stat", "anon 5\nfile 77\ninactive_file " + kib(100));
  EXPECT_EQ(memory(), std::pair(300ul, 500ul));
  put("sys/fs/cgroup/a/b/memory.max", kib(400));
  put("sys/fs/cgroup/a/b/memory.current", kib(450));
  EXPECT_EQ(memory(), std::pair(0ul, 400ul));
}

TEST_F(HostMemoryTest, Version1HasOtherFiles) {
  put("proc/self/cgroup", "4:cpu:/a\n5:memory:/a\n0::/\n");
  put("sys/fs/cgroup/memory/a/memory.limit_in_bytes", kib(800));
  put("sys/fs/cgroup/memory/a/memory.usage_in_bytes", kib(500));
  put("sys/fs/cgroup/memory/a/memory.stat", "cache 1\ntotal_inactive_file " + kib(50));
  EXPECT_EQ(memory(), std::pair(350ul, 800ul));
}

TEST_F(HostMemoryTest, MissingOrDamagedFilesAreUnknown) {
  for (const char* text : {"", "MemAvailable:", "MemAvailable: x kB\n", "\n\n"}) {
    put("proc/meminfo", text);
    EXPECT_EQ(memory(), std::pair(0ul, 0ul)) << text;
  }
  std::filesystem::remove(path("proc/meminfo"));
  EXPECT_EQ(memory(), std::pair(0ul, 0ul));
  EXPECT_GT(host_memory().total, size_t{1} << 20);
}

}  // namespace
}  // namespace hipgpt
