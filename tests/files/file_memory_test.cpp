#include "training/file_memory.h"

#include "test_files.h"

namespace hipgpt {
namespace {

class FileMemoryTest : public FilesTest {
 protected:
  /// A large file that takes no room.
  FileStamp large_stamp() const {
    if (!std::filesystem::exists(path("large"))) write_all(path("large"), "");
    std::filesystem::resize_file(path("large"), FileMemory::kWorthIt);
    FileStamp stamp({path("large")});
    stamp.settled = true;  // as if the test had waited for it
    return stamp;
  }

  FileMemory memory() const { return FileMemory(path("known.json")); }
};

TEST_F(FileMemoryTest, RemembersFromRunToRun) {
  const FileStamp stamp = large_stamp();
  EXPECT_EQ(stamp.bytes, FileMemory::kWorthIt);
  FileMemory first = memory();
  EXPECT_EQ(first.recall(stamp), std::nullopt);
  first.remember(stamp, UINT64_MAX);
  EXPECT_EQ(memory().recall(stamp), std::nullopt);
  first.save();
  EXPECT_EQ(memory().recall(FileStamp({path("large")})), UINT64_MAX);
}

TEST_F(FileMemoryTest, ForgetsAFileThatChanges) {
  FileMemory memory = this->memory();
  memory.remember(large_stamp(), 1);
  std::fstream(path("large"), std::ios::in | std::ios::out) << 'x';  // same size, same inode
  EXPECT_EQ(memory.recall(FileStamp({path("large")})), std::nullopt);
  memory.remember(large_stamp(), 2);
  std::filesystem::copy_file(path("large"), path("copy"));
  std::filesystem::rename(path("copy"), path("large"));
  EXPECT_EQ(memory.recall(FileStamp({path("large")})), std::nullopt);
}

TEST_F(FileMemoryTest, KeepsNothingOfSmallFilesOrNewOnes) {
  FileMemory memory = this->memory();
  FileStamp fresh = large_stamp();
  fresh.settled = FileStamp({path("large")}).settled;
  EXPECT_FALSE(fresh.settled);
  memory.remember(fresh, 1);
  write_all(path("small"), "text");
  FileStamp small({path("small")});
  small.settled = true;
  memory.remember(small, 2);
  memory.save();
  EXPECT_EQ(memory.recall(fresh), std::nullopt);
  EXPECT_EQ(memory.recall(small), std::nullopt);
  EXPECT_FALSE(std::filesystem::exists(path("known.json")));
}

TEST_F(FileMemoryTest, ADamagedMemoryIsAnEmptyOne) {
  const FileStamp stamp = large_stamp();
  for (const char* bytes : {"", "{", "[1]", "{\"a\": -1, \"b\": \"c\"}", "\xFF"}) {
    write_all(path("known.json"), bytes);
    FileMemory memory = this->memory();
    EXPECT_EQ(memory.recall(stamp), std::nullopt);
    memory.remember(stamp, 3);
    memory.save();
    EXPECT_EQ(this->memory().recall(stamp), 3u) << bytes;
  }
}

TEST_F(FileMemoryTest, AFolderThatCannotBeWrittenIsNoError) {
  FileMemory memory(path("missing/known.json"));
  memory.remember(large_stamp(), 1);
  EXPECT_EQ(error_of([&] { memory.save(); }), "");
}

}  // namespace
}  // namespace hipgpt
