#include "util/available_cores.h"

#include "test_files.h"

namespace hipgpt {
namespace {

/// The files of Linux about control groups, below a folder.
class AvailableCoresTest : public FilesTest {
 protected:
  void groups(const std::string& lines) const { put("proc/self/cgroup", lines); }
  void put(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    write_all(path(name), text);
  }
  int cores_of_two() const { return physical_cores({0, 1}, folder_.string()); }
  std::optional<int> cores() const { return cores_by_quota(folder_.string()); }
};

TEST_F(AvailableCoresTest, WithoutAQuotaThereIsNoLimit) {
  EXPECT_EQ(cores(), std::nullopt);
  groups("0::/a/b\n");
  EXPECT_EQ(cores(), std::nullopt);
  put("sys/fs/cgroup/cpu.max", "max 100000\n");
  put("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  EXPECT_EQ(cores(), std::nullopt);
  groups("4:cpu,cpuacct:/a\n0::/\n");
  put("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "-1\n");
  put("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cores(), std::nullopt);
}

TEST_F(AvailableCoresTest, TheSmallestQuotaOfTheGroupsOnThePathCounts) {
  groups("0::/a/b\n");
  put("sys/fs/cgroup/cpu.max", "800000 100000\n");
  EXPECT_EQ(cores(), 8);
  put("sys/fs/cgroup/a/b/cpu.max", "300000 100000\n");
  EXPECT_EQ(cores(), 3);
  put("sys/fs/cgroup/a/cpu.max", "50000 25000\n");
  EXPECT_EQ(cores(), 2);
}

TEST_F(AvailableCoresTest, PartsOfACoreAreRoundedUp) {
  groups("0::/\n");
  for (const auto& [quota, expected] :
       {std::pair{"1000 100000", 1}, {"100000 100000", 1}, {"150000 100000", 2}}) {
    put("sys/fs/cgroup/cpu.max", quota);
    EXPECT_EQ(cores(), expected) << quota;
  }
}

TEST_F(AvailableCoresTest, Version1HasAFolderForTheController) {
  groups("7:cpuset:/a\n5:memory:/a\n4:cpu,cpuacct:/on/the/host\n0::/\n");
  put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "200000\n");
  put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  put("sys/fs/cgroup/cpuset/a/cpu.cfs_quota_us", "100000\n");
  put("sys/fs/cgroup/cpuset/a/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cores(), 2);
}

TEST_F(AvailableCoresTest, ThreadsOfOneCoreCountOnce) {
  const auto siblings = [&](int processor, const std::string& list) {
    put("sys/devices/system/cpu/cpu" + std::to_string(processor) + "/topology/thread_siblings_list", list);
  };
  const auto cores = [&](const std::vector<int>& processors) {
    return physical_cores(processors, folder_.string());
  };
  for (const int i : {0, 4}) siblings(i, "0,4\n");
  for (const int i : {1, 5}) siblings(i, "1,5\n");
  for (const int i : {2, 3}) siblings(i, "2-3\n");
  siblings(16, "16\n");
  EXPECT_EQ(cores({0, 1, 2, 3, 4, 5, 16}), 4);
  EXPECT_EQ(cores({0, 4}), 1);
  EXPECT_EQ(cores({4, 5, 3}), 3) << "one thread of each core";
  EXPECT_EQ(cores({16}), 1);
  EXPECT_EQ(cores({}), 0);
}

TEST_F(AvailableCoresTest, ProcessorsWithoutAListAreCores) {
  EXPECT_EQ(cores_of_two(), 2);
  put("sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "");
  EXPECT_EQ(cores_of_two(), 2);
  put("sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "\n");
  EXPECT_EQ(cores_of_two(), 2);
}

TEST_F(AvailableCoresTest, DamagedFilesGiveNoLimit) {
  groups("0::/\n");
  for (const char* text : {"", "x", "100000", "100000 0", "0 100000", "-5 100000"}) {
    put("sys/fs/cgroup/cpu.max", text);
    EXPECT_EQ(cores(), std::nullopt) << text;
  }
  groups("0::\n::\n0::a\n\n");
  EXPECT_EQ(cores(), std::nullopt);
  EXPECT_GE(available_cores(), 1);
}

}  // namespace
}  // namespace hipgpt
